// Google's Node SDK through what its users do with batches and files.

import assert from "node:assert/strict";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, GoogleGenAI } from "@google/genai";

const MODEL = "gemini-2.5-flash";
const ENDED = ["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"];
const ai = new GoogleGenAI({});

const request = (number) => ({ contents: [{ role: "user", parts: [{ text: `say ${number}` }] }] });
const names = (count) => Array.from({ length: count }, (_, number) => `row ${number}`).sort();

async function upload(rows, name = "rows.jsonl") {
  fs.writeFileSync(name, rows.map((row) => JSON.stringify(row) + "\n").join(""));
  return ai.files.upload({ file: name, config: { mimeType: "application/jsonl", displayName: name } });
}

async function ended(job) {
  const until = Date.now() + 20_000;
  while (!ENDED.includes(job.state) && Date.now() < until) {
    await sleep(20);
    job = await ai.batches.get({ name: job.name });
  }
  assert(ENDED.includes(job.state), job.state);
  return job;
}

async function download(fileName) {
  await ai.files.download({ file: fileName, downloadPath: "answers.jsonl" });
  const until = Date.now() + 5_000;
  while (!fs.existsSync("answers.jsonl") && Date.now() < until) await sleep(20);
  const text = fs.readFileSync("answers.jsonl", "utf8");
  fs.rmSync("answers.jsonl");
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

async function gather(pager) {
  const found = [];
  for await (const one of pager) found.push(one.name);
  return found;
}

const refused = (call, status) =>
  assert.rejects(call, (error) => error instanceof ApiError && error.status === status && error.message.length > 0);

const checks = {
  "upload, create, poll, download, results on their keys": async () => {
    const rows = names(20).map((key) => ({ key, request: request(key) }));
    const stored = await upload(rows);
    const made = await ai.batches.create({ model: MODEL, src: stored.name, config: { displayName: "quick" } });
    assert.equal(made.displayName, "quick");
    const done = await ended(made);
    assert.equal(done.state, "JOB_STATE_SUCCEEDED");
    const lines = await download(done.dest.fileName);
    assert.deepEqual(lines.map((line) => line.key).sort(), names(20));
    assert(lines.every((line) => line.response.candidates[0].content.parts[0].text));
  },
  "inline requests, answers in their order": async () => {
    const src = names(5).map((key) => ({ ...request(key), config: { maxOutputTokens: 20 }, metadata: { key } }));
    const done = await ended(await ai.batches.create({ model: MODEL, src }));
    assert.deepEqual(done.dest.inlinedResponses.map((one) => one.metadata.key), names(5));
    for (const { response, error } of done.dest.inlinedResponses) assert(response.candidates[0].content.parts[0].text && !error, JSON.stringify(response));
  },
  "rows that fail, with their keys and reasons": async () => {
    const stored = await upload([{ key: "good", request: request(1) }, { key: "bad", request: { contents: [] } }]);
    const done = await ended(await ai.batches.create({ model: MODEL, src: { fileName: stored.name } }));
    const lines = Object.fromEntries((await download(done.dest.fileName)).map((line) => [line.key, line]));
    assert(lines.good.response && lines.bad.error.code === 3);
  },
  embeddings: async () => {
    const contents = [{ parts: [{ text: "one" }] }, { parts: [{ text: "two" }] }];
    const src = { inlinedRequests: { contents, config: { outputDimensionality: 8 } } };
    const done = await ended(await ai.batches.createEmbeddings({ model: "gemini-embedding-001", src }));
    const sizes = done.dest.inlinedEmbedContentResponses.map((one) => one.response.embedding.values.length);
    assert.deepEqual(sizes, [8, 8]);
  },
  "lists of batches and files, over several pages, newest first": async () => {
    const newest = [];
    for (let number = 0; number < 5; number++) {
      newest.unshift((await ai.batches.create({ model: MODEL, src: [request(number)] })).name);
    }
    const listed = await gather(await ai.batches.list({ config: { pageSize: 2 } }));
    assert.deepEqual(listed.slice(0, 5), newest);
    assert.equal(new Set(listed).size, listed.length);
    const files = await gather(await ai.files.list({ config: { pageSize: 1 } }));
    assert(files.length > 2 && new Set(files).size === files.length);
  },
  cancel: async () => {
    const slow = await ai.batches.create({ model: MODEL, src: [request(1)], config: { displayName: "slow" } });
    await ai.batches.cancel({ name: slow.name });
    assert.equal((await ended(slow)).state, "JOB_STATE_CANCELLED");
  },
  "delete a batch": async () => {
    const made = await ai.batches.create({ model: MODEL, src: [request(1)] });
    await ai.batches.delete({ name: made.name });
    await refused(ai.batches.get({ name: made.name }), 404);
  },
  "file upload in more than one chunk, get, delete": async () => {
    const filler = "x".repeat(60_000);
    const stored = await upload(names(150).map((key) => ({ key, request: { ...request(1), labels: { filler } } })));
    assert(Number(stored.sizeBytes) === fs.statSync("rows.jsonl").size && Number(stored.sizeBytes) > 8 * 1024 * 1024);
    assert.equal((await ai.files.get({ name: stored.name })).state, "ACTIVE");
    await ai.files.delete({ name: stored.name });
    await refused(ai.files.get({ name: stored.name }), 403);
  },
  "errors in the SDK's own class": async () => {
    const stranger = new GoogleGenAI({ apiKey: "bad-key" });
    await refused(stranger.batches.get({ name: "batches/unknown" }), 400);
    await refused(ai.batches.get({ name: "batches/unknown" }), 404);
    await refused(ai.batches.create({ model: "gemini-unknown", src: [request(1)] }), 404);
    await refused(ai.batches.create({ model: MODEL, src: "files/unknown" }), 403);
  },
  "models over several pages, token counts": async () => {
    assert((await gather(await ai.models.list({ config: { pageSize: 5 } }))).length > 5);
    assert((await ai.models.countTokens({ model: MODEL, contents: "hello" })).totalTokens > 0);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
