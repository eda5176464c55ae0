"""inspect-ai in its batch mode: calls to a model, gathered into batches, on all three services."""

from __future__ import annotations

import asyncio

from inspect_ai.model import BatchConfig, GenerateConfig, get_model
from inspect_ai.tool import ToolFunction, ToolInfo, ToolParam, ToolParams

MODELS = ("openai/gpt-4o-mini", "openai/gpt-5-nano", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash")
CONFIG = GenerateConfig(batch=BatchConfig(size=6, send_delay=0.2, tick=0.1), max_tokens=64)
TOOL = ToolInfo(
    name="weather",
    description="The weather of a city",
    parameters=ToolParams(properties={"city": ToolParam(type="string", description="The city")}, required=["city"]),
)


async def main() -> None:
    for name in MODELS:
        model = get_model(name)
        calls = [model.generate(f"say {number}", config=CONFIG) for number in range(6)]
        answers = await asyncio.wait_for(asyncio.gather(*calls), 25)
        assert all(one.completion and one.usage and one.usage.total_tokens for one in answers)
        print(f"ok {name}: 6 calls in one batch")
    text = [name for name in MODELS if not await called(name)]
    assert not text, f"answered with text where a tool must be called: {text}"


async def called(name: str) -> bool:
    forced = ToolFunction(name="weather")
    call = get_model(name).generate("The weather in Oslo?", tools=[TOOL], tool_choice=forced, config=CONFIG)
    answer = await asyncio.wait_for(call, 25)
    calls = answer.choices[0].message.tool_calls
    if not calls:
        return False
    assert calls[0].function == "weather" and "city" in calls[0].arguments, calls
    print(f"ok {name}: the tool that must be called is called")
    return True


asyncio.run(main())
