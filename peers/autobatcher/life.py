"""autobatcher: single calls, as with AsyncOpenAI, that it gathers into batches."""

from __future__ import annotations

import asyncio
import os

from autobatcher import BatchOpenAI


async def main() -> None:
    client = BatchOpenAI(
        api_key=os.environ["OPENAI_API_KEY"],  # its own downloads know no variables
        base_url=os.environ["OPENAI_BASE_URL"],
        completion_window="24h",
        batch_window_seconds=0.2,
        poll_interval_seconds=0.1,
    )
    chats = await asyncio.gather(
        *[client.chat.completions.create(model="gpt-4o-mini", messages=_said(n)) for n in range(12)]
    )
    assert len({chat.id for chat in chats}) == 12 and all(chat.choices[0].message.content for chat in chats)
    print("ok 12 chat calls in one batch")
    vector = await client.embeddings.create(model="text-embedding-3-small", input="hello")
    answer = await client.responses.create(model="gpt-5-nano", input="hello")
    assert len(vector.data[0].embedding) == 1536 and answer.output_text
    print("ok embeddings and responses, each in a batch of its own")
    await client.close()


def _said(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"say {number}"}]


asyncio.run(main())
