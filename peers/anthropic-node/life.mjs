// Anthropic's Node SDK through what its users do with Message Batches. For versions 0 and 1.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const MODEL = "claude-sonnet-4-5";
const client = new Anthropic({ maxRetries: 0 });
const batches = client.messages.batches;

function request(number, name = "row", changes = {}) {
  const messages = [{ role: "user", content: `say ${number}` }];
  return { custom_id: `${name}-${number}`, params: { model: MODEL, max_tokens: 20, messages, ...changes } };
}

const rows = (count, name) => Array.from({ length: count }, (_, number) => request(number, name));
const names = (count) => Array.from({ length: count }, (_, number) => `row-${number}`).sort();

async function ended(batch) {
  const until = Date.now() + 20_000;
  while (batch.processing_status !== "ended" && Date.now() < until) {
    await sleep(20);
    batch = await batches.retrieve(batch.id);
  }
  assert.equal(batch.processing_status, "ended");
  return batch;
}

async function gather(things) {
  const found = [];
  for await (const one of things) found.push(one);
  return found;
}

const checks = {
  "create, poll, results on their ids, counts": async () => {
    const made = await batches.create({ requests: rows(20) });
    assert.equal(made.request_counts.processing, 20);
    const done = await ended(made);
    assert.deepEqual(done.request_counts, { processing: 0, succeeded: 20, errored: 0, canceled: 0, expired: 0 });
    const answers = await gather(await batches.results(done.id));
    assert.deepEqual(answers.map((one) => one.custom_id).sort(), names(20));
    assert(answers.every((one) => one.result.type === "succeeded" && one.result.message.content[0].text));
  },
  "rows that fail, with their ids and reasons": async () => {
    const requests = [request(1), request(2, "row", { max_tokens: 1e9 }), request(3, "row", { model: "unknown" })];
    const done = await ended(await batches.create({ requests }));
    const failed = (await gather(await batches.results(done.id))).filter((one) => one.result.type === "errored");
    const reasons = Object.fromEntries(failed.map((one) => [one.custom_id, one.result.error.error.type]));
    assert.deepEqual(reasons, { "row-2": "invalid_request_error", "row-3": "not_found_error" });
  },
  "list over several pages, newest first": async () => {
    const newest = [];
    for (let number = 0; number < 5; number++) newest.unshift((await batches.create({ requests: rows(1) })).id);
    const first = await batches.list({ limit: 2 });
    assert(first.data.length === 2 && first.hasNextPage());
    const listed = (await gather(batches.list({ limit: 2 }))).map((one) => one.id);
    assert.deepEqual(listed.slice(0, 5), newest);
    assert.equal(new Set(listed).size, listed.length);
  },
  "cancel; the rows say canceled": async () => {
    const cancelled = await batches.cancel((await batches.create({ requests: rows(2, "slow") })).id);
    assert(cancelled.cancel_initiated_at);
    const done = await ended(cancelled);
    const results = await gather(await batches.results(done.id));
    assert.deepEqual(results.map((one) => one.result.type), ["canceled", "canceled"]);
    await assert.rejects(batches.cancel(done.id), Anthropic.BadRequestError);
  },
  "delete, only after the end": async () => {
    const slow = await batches.create({ requests: rows(1, "slow") });
    await assert.rejects(batches.delete(slow.id), Anthropic.BadRequestError);
    const done = await ended(await batches.cancel(slow.id));
    assert.deepEqual(await batches.delete(done.id), { id: done.id, type: "message_batch_deleted" });
    await assert.rejects(batches.retrieve(done.id), Anthropic.NotFoundError);
  },
  "results one by one; none before the end": async () => {
    const done = await ended(await batches.create({ requests: rows(300) }));
    const found = [];
    for await (const one of await batches.results(done.id)) found.push(one.custom_id);
    assert.deepEqual(found.sort(), names(300));
    const slow = await batches.create({ requests: rows(1, "slow") });
    await assert.rejects(batches.results(slow.id), Anthropic.AnthropicError);
  },
  "the beta namespace": async () => {
    const made = await client.beta.messages.batches.create({ requests: rows(1), betas: ["message-batches-2024-09-24"] });
    const done = await ended(made);
    assert.equal((await gather(await client.beta.messages.batches.results(done.id))).length, 1);
  },
  "errors in the SDK's own classes": async () => {
    await assert.rejects(new Anthropic({ apiKey: "bad-key" }).messages.batches.list(), Anthropic.AuthenticationError);
    await assert.rejects(batches.retrieve("msgbatch_unknown"), (error) => {
      assert(error instanceof Anthropic.NotFoundError && error.status === 404);
      return error.error.error.type === "not_found_error";
    });
    await assert.rejects(batches.create({ requests: [] }), Anthropic.BadRequestError);
    await assert.rejects(batches.create({ requests: [request(1), request(1)] }), Anthropic.BadRequestError);
  },
  "models over several pages, token counts": async () => {
    assert((await gather(client.models.list({ limit: 3 }))).length > 3);
    const messages = [{ role: "user", content: "hello" }];
    assert((await client.messages.countTokens({ model: MODEL, messages })).input_tokens > 0);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
