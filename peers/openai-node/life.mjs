// OpenAI's Node SDK through what its users do with batches and files. For versions 4 to 7.

import assert from "node:assert/strict";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI, { toFile } from "openai";

const CHAT = "/v1/chat/completions";
const ENDED = ["completed", "failed", "expired", "cancelled"];
const client = new OpenAI({ maxRetries: 0 });

function chat(number, changes = {}) {
  const messages = [{ role: "user", content: `say ${number}` }];
  const body = { model: "gpt-4o-mini", messages, max_tokens: 9, ...changes };
  return JSON.stringify({ custom_id: `row ${number}`, method: "POST", url: CHAT, body });
}

const rows = (count) => Array.from({ length: count }, (_, number) => chat(number));
const names = (count) => Array.from({ length: count }, (_, number) => `row ${number}`).sort();

async function create(lines, { endpoint = CHAT, label = "quick" } = {}) {
  const file = await toFile(Buffer.from(lines.join("\n")), "in.jsonl");
  const stored = await client.files.create({ file, purpose: "batch" });
  return client.batches.create({
    input_file_id: stored.id,
    endpoint,
    completion_window: "24h",
    metadata: { label },
  });
}

async function ended(batch) {
  const until = Date.now() + 20_000;
  while (!ENDED.includes(batch.status) && Date.now() < until) {
    await sleep(20);
    batch = await client.batches.retrieve(batch.id);
  }
  assert(ENDED.includes(batch.status), batch.status);
  return batch;
}

async function lines(fileId) {
  const text = await (await client.files.content(fileId)).text();
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

async function gather(pages) {
  const found = [];
  for await (const one of pages) found.push(one.id);
  return found;
}

const remove = (id) => (client.files.delete ?? client.files.del).call(client.files, id); // `del` up to version 4

const checks = {
  "upload, create, poll, results on their ids, counts, usage, metadata": async () => {
    const done = await ended(await create(rows(20)));
    assert.equal(done.status, "completed");
    assert.deepEqual(done.request_counts, { total: 20, completed: 20, failed: 0 });
    assert.deepEqual(done.metadata, { label: "quick" });
    const answers = await lines(done.output_file_id);
    assert.deepEqual(answers.map((one) => one.custom_id).sort(), names(20));
    for (const one of answers) {
      assert.equal(one.response.status_code, 200);
      assert(one.response.body.choices[0].message.content && one.response.body.usage.total_tokens);
    }
  },
  "rows that fail are in the error file, with their ids": async () => {
    const done = await ended(await create([chat(1), chat(2, { temperature: 9 })]));
    assert.deepEqual((await lines(done.output_file_id)).map((one) => one.custom_id), ["row 1"]);
    const [refused] = await lines(done.error_file_id);
    assert(refused.custom_id === "row 2" && refused.response.status_code === 400);
  },
  "a bad input file fails the batch and names the line": async () => {
    const done = await ended(await create([chat(1), "{"]));
    assert.equal(done.status, "failed");
    assert.deepEqual([done.errors.data[0].code, done.errors.data[0].line], ["invalid_json_line", 2]);
  },
  embeddings: async () => {
    const body = { model: "text-embedding-3-small", input: "one", dimensions: 16 };
    const line = JSON.stringify({ custom_id: "e", method: "POST", url: "/v1/embeddings", body });
    const done = await ended(await create([line], { endpoint: "/v1/embeddings" }));
    const [answer] = await lines(done.output_file_id);
    assert.equal(answer.response.body.data[0].embedding.length, 16);
  },
  "lists of batches and files, over several pages, newest first": async () => {
    const newest = [];
    for (let number = 0; number < 5; number++) newest.unshift((await create([chat(number)])).id);
    const first = await client.batches.list({ limit: 2 });
    assert(first.data.length === 2 && first.hasNextPage());
    assert.deepEqual((await gather(client.batches.list({ limit: 2 }))).slice(0, 5), newest);
    const files = await gather(client.files.list({ limit: 3 }));
    assert(files.length > 6 && new Set(files).size === files.length);
  },
  cancel: async () => {
    const cancelled = await client.batches.cancel((await create([chat(1)], { label: "slow" })).id);
    assert(["cancelling", "cancelled"].includes(cancelled.status));
    const done = await ended(cancelled);
    assert(done.status === "cancelled" && done.cancelled_at);
    await assert.rejects(client.batches.cancel(done.id), OpenAI.ConflictError);
  },
  "file upload from a stream and in parts, retrieve, download, delete": async () => {
    fs.writeFileSync("rows.jsonl", rows(3).join("\n"));
    const size = fs.statSync("rows.jsonl").size;
    const stored = await client.files.create({ file: fs.createReadStream("rows.jsonl"), purpose: "batch" });
    assert.deepEqual([stored.filename, stored.bytes, stored.purpose], ["rows.jsonl", size, "batch"]);
    assert.equal((await client.files.waitForProcessing(stored.id)).status, "processed");
    assert.equal(await (await client.files.content(stored.id)).text(), fs.readFileSync("rows.jsonl", "utf8"));
    const upload = await client.uploads.create({
      bytes: size,
      filename: "rows.jsonl",
      mime_type: "application/jsonl",
      purpose: "batch",
    });
    const part = await client.uploads.parts.create(upload.id, { data: fs.createReadStream("rows.jsonl") });
    const complete = await client.uploads.complete(upload.id, { part_ids: [part.id] });
    assert.equal(complete.file.bytes, size);
    assert((await remove(stored.id)).deleted);
    await assert.rejects(client.files.retrieve(stored.id), OpenAI.NotFoundError);
  },
  "streaming download": async () => {
    const done = await ended(await create(rows(300)));
    const answer = await client.files.content(done.output_file_id);
    let text = "";
    for await (const piece of answer.body) text += Buffer.from(piece).toString();
    assert.deepEqual(text.trimEnd().split("\n").map((line) => JSON.parse(line).custom_id).sort(), names(300));
  },
  "errors in the SDK's own classes": async () => {
    await assert.rejects(new OpenAI({ apiKey: "bad-key" }).batches.list(), OpenAI.AuthenticationError);
    await assert.rejects(client.batches.retrieve("batch_unknown"), (error) => {
      assert(error instanceof OpenAI.NotFoundError && error.status === 404 && error.error.message);
      return error.type === "invalid_request_error";
    });
    await assert.rejects(client.files.content("file-unknown"), OpenAI.NotFoundError);
    await assert.rejects(create([chat(1)], { endpoint: "/v1/nonsense" }), OpenAI.BadRequestError);
  },
  models: async () => {
    assert((await gather(client.models.list())).includes("gpt-4o-mini"));
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}

if (client.webhooks?.create) {
  const { createServer } = await import("node:http");
  const came = [];
  const server = createServer((request, answer) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      came.push([Buffer.concat(parts).toString(), request.headers]);
      answer.end();
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const endpoint = await client.webhooks.create({
    name: "peer",
    url: `http://127.0.0.1:${server.address().port}/`,
    event_types: ["batch.completed"],
  });
  const told = await create(rows(2));
  for (let tries = 0; came.length === 0 && tries < 200; tries += 1) await sleep(100);
  server.close();
  const event = await client.webhooks.unwrap(came[0][0], came[0][1], endpoint.signing_secret);
  assert.equal(event.type, "batch.completed");
  assert.equal(event.data.id, told.id);
  console.log("ok a webhook is called at the end of a batch, with a signature that the SDK trusts");
}
