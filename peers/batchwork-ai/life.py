"""batchwork-ai, which speaks to all services by HTTP of its own, without their SDKs."""

from __future__ import annotations

import asyncio
from typing import Any

from batchwork import BatchEmbeddingRequest, BatchRequest, Batchwork

MODELS = ("openai/gpt-4o-mini", "openai/gpt-5-nano", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash")
VECTORS = ("openai/text-embedding-3-small", "google/gemini-embedding-001")
NAMES = {f"row-{number}" for number in range(12)}


async def collected(job: Any) -> list[Any]:
    await job.wait(timeout=20)
    results: list[Any] = await job.collect()
    assert {one.custom_id for one in results} == NAMES, results
    assert not [one.error for one in results if one.error], results
    return results


async def main() -> None:
    async with Batchwork() as client:
        for model in MODELS:
            job = await client.batch(
                model=model, requests=[BatchRequest(custom_id=name, prompt=name) for name in NAMES]
            )
            assert all(one.text for one in await collected(job))
            print(f"ok {model}: submit, wait, collect, every row on its id")
        for model in VECTORS:
            asked = [BatchEmbeddingRequest(custom_id=name, value=name) for name in sorted(NAMES)]
            job = await client.batch_embeddings(model=model, requests=asked)
            assert all(one.embedding for one in await collected(job))
            print(f"ok {model}: embeddings")


asyncio.run(main())
