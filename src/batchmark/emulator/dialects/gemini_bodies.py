"""The bodies beside the keys in Gemini's results, in the full shape of the real ones."""

from __future__ import annotations

from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.answers.free import PIXEL, count_tokens
from batchmark.emulator.catalog import Model
from batchmark.emulator.dialects.gemini_requests import dimensions, field, text_of
from batchmark.emulator.dialects.likelihoods import gemini_logprobs
from batchmark.emulator.dialects.thoughts import spent, text_of_thoughts
from batchmark.emulator.http import decode_object
from batchmark.emulator.vectors import vector_text

__all__ = ["embedding", "response"]

_encode = msgspec.json.Encoder().encode


def response(model: Model, reply: Reply, ask: Ask | None, config: object) -> bytes:
    # Assembled by hand: encoding a dictionary of all this would cost several times as much.
    tool, limit = (None, None) if ask is None else (ask.tool, ask.max_tokens)
    parts = b'{"text":%b}' % _encode(reply.text) if reply.text else b""
    if tool is not None:  # a call that was cut has no arguments
        parts = _encode({"functionCall": {"name": tool, "args": decode_object(reply.text.encode()) or {}}})
    if model.kind == "image":
        picture = b'{"inlineData":{"mimeType":"image/png","data":"%b"}}' % PIXEL.encode()
        parts = parts + b"," + picture if parts else picture
    thinking = None if config is None else field(config, "thinkingConfig")
    thoughts = spent(reply, limit) if _thinks(model, thinking) else 0
    count, more = 1, b""
    if config is not None:
        if thoughts and field(thinking, "includeThoughts"):
            shown = b'{"text":%b,"thought":true}' % _encode(text_of_thoughts(thoughts))
            parts = shown + b"," + parts if parts else shown
        count = field(config, "candidateCount") or 1
        if field(config, "responseLogprobs") and tool is None:
            more = _likelihoods(reply.text, field(config, "logprobs") or 0)
    said = b'{"content":{%b"role":"model"},"finishReason":"%b"%b,"index":' % (
        b'"parts":[%b],' % parts if parts else b"",
        b"MAX_TOKENS" if reply.finish == "length" else b"STOP",
        more,
    )
    candidates = b",".join([b"%b%d}" % (said, index) for index in range(count)])
    out = reply.output_tokens * count
    return (
        b'{"candidates":[%b],"usageMetadata":{"promptTokenCount":%d,%b"totalTokenCount":%d,'
        b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}],%b"serviceTier":"standard"},'
        b'"modelVersion":"%b","responseId":"%b"}'
    ) % (
        candidates,
        reply.input_tokens,
        b'"candidatesTokenCount":%d,' % out if out else b"",
        reply.input_tokens + out + thoughts,
        reply.input_tokens,
        b'"thoughtsTokenCount":%d,' % thoughts if thoughts else b"",
        model.dated.encode(),
        ids.base62(22).encode(),
    )


def _thinks(model: Model, thinking: object) -> bool:
    """Whether it reasons before this answer: by itself, or because a budget or a level says so."""
    if thinking is None:
        return model.thinks
    budget = field(thinking, "thinkingBudget")
    if budget is not None:
        return model.reasoning and budget != 0
    return model.thinks or (model.reasoning and field(thinking, "thinkingLevel") is not None)


def _likelihoods(text: str, top: int) -> bytes:
    result = gemini_logprobs(text, top)
    chosen = [each["logProbability"] for each in result["chosenCandidates"]]
    mean = sum(chosen) / len(chosen) if chosen else 0.0
    return b',"avgLogprobs":%b,"logprobsResult":%b' % (_encode(mean), _encode(result))


def embedding(model: Model, request: dict[str, Any]) -> bytes:
    text = text_of(request.get("content"))
    values = vector_text(model.name, text, dimensions(request, model)).encode()
    return b'{"embedding":{"values":%b},"tokenCount":"%d"}' % (values, count_tokens(text))
