"""The bodies inside OpenAI's result lines, in the full shape of the real ones."""

from __future__ import annotations

import base64
import secrets
from json import dumps
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import msgspec

from batchmark.emulator import ids
from batchmark.emulator.answers import Ask, Reply
from batchmark.emulator.answers.free import PIXEL, count_tokens
from batchmark.emulator.catalog import Model
from batchmark.emulator.dialects.likelihoods import openai_logprobs, plain_logprobs
from batchmark.emulator.dialects.thoughts import spent
from batchmark.emulator.http import is_int
from batchmark.emulator.vectors import vector_base64, vector_text

__all__ = ["Made", "body"]

_MODERATED = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_REASONING_STEP = 64
_ENCRYPTED = "reasoning.encrypted_content"
_LIKELY = "message.output_text.logprobs"
_IMAGE_TOKENS = 272  # of the smallest image


class Made(msgspec.Struct, frozen=True):
    """A finished body as JSON text, and its tokens."""

    text: str
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0  # of the output's


def body(
    endpoint: str, model: Model, asked: dict[str, Any], reply: Reply | None, created_s: int, question: Ask | None
) -> Made:
    """The answer's body, in the full shape of the real one; where the question names a tool it is a call of that function."""
    tool, limit = (None, None) if question is None else (question.tool, question.max_tokens)
    if endpoint == "/v1/moderations":
        return _moderation(model, asked)
    if endpoint.startswith("/v1/images/"):
        return _images(asked, created_s)
    if endpoint == "/v1/videos":
        return _video(model, asked, created_s)
    if endpoint == "/v1/embeddings" or reply is None:
        return _embeddings(model, asked)
    if endpoint == "/v1/responses":
        return _response(model, asked, reply, created_s, tool, limit)
    if endpoint == "/v1/completions":
        return _completion(model, asked, reply, created_s)
    return _chat(model, asked, reply, created_s, tool, limit)


def _effort(model: Model, asked: object) -> str | None:
    """How hard a model is to reason."""
    if not model.reasoning:
        return None
    return asked if isinstance(asked, str) else "medium" if model.thinks else "none"


def _reasoning(effort: str | None, reply: Reply, limit: int | None) -> int:
    return 0 if effort in (None, "none", "minimal") else spent(reply, limit, step=_REASONING_STEP)


def _chat(
    model: Model, asked: dict[str, Any], reply: Reply, created_s: int, tool: str | None, limit: int | None
) -> Made:
    wanted = asked.get("n")
    count = min(max(wanted, 1), 128) if isinstance(wanted, int) else 1
    finish: str = reply.finish
    content, calls = quoted(reply.text), ""
    if tool is not None:
        call = {"name": tool, "arguments": reply.text}
        content = "null"
        calls = f'"tool_calls": {dumps([{"id": f"call_{ids.base62(24)}", "type": "function", "function": call}])}, '
        if finish == "stop" and asked.get("tool_choice") == "required":  # a call that was asked for by name is "stop"
            finish = "tool_calls"
    likely = "null"
    if asked.get("logprobs") and tool is None:
        likely = dumps({"content": openai_logprobs(reply.text, asked.get("top_logprobs") or 0), "refusal": None})
    said = (
        f', "message": {{"role": "assistant", "content": {content}, {calls}"refusal": null, '
        f'"annotations": []}}, "logprobs": {likely}, "finish_reason": "{finish}"}}'
    )
    choices = f'{{"index": 0{said}'
    for index in range(1, count):
        choices += f', {{"index": {index}{said}'
    thought = _reasoning(_effort(model, asked.get("reasoning_effort")), reply, limit)
    out = reply.output_tokens * count + thought
    made = (
        f'{{"id": "chatcmpl-{ids.base62(29)}", "object": "chat.completion", "created": {created_s}, '
        f'"model": "{model.dated}", "choices": [{choices}], "usage": {{"prompt_tokens": {reply.input_tokens}, '
        f'"completion_tokens": {out}, "total_tokens": {reply.input_tokens + out}, '
        '"prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}, "completion_tokens_details": '
        f'{{"reasoning_tokens": {thought}, '
        '"audio_tokens": 0, "accepted_prediction_tokens": 0, '
        '"rejected_prediction_tokens": 0}}, "service_tier": "default", "system_fingerprint": null}'
    )
    return Made(made, reply.input_tokens, out, thought)


def _completion(model: Model, asked: dict[str, Any], reply: Reply, created_s: int) -> Made:
    prompt, wanted = asked.get("prompt"), asked.get("n")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not is_int(prompt[0]) else 1
    count = prompts * (min(max(wanted, 1), 128) if isinstance(wanted, int) else 1)
    out = reply.output_tokens * count
    top = asked.get("logprobs")
    likely = plain_logprobs(reply.text, top) if isinstance(top, int) else None
    made = {
        "id": f"cmpl-{ids.base62(29)}",
        "object": "text_completion",
        "created": created_s,
        "model": model.dated,
        "choices": [
            {"text": reply.text, "index": index, "logprobs": likely, "finish_reason": reply.finish}
            for index in range(count)
        ],
        "usage": {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": out,
            "total_tokens": reply.input_tokens + out,
        },
    }
    return Made(dumps(made), reply.input_tokens, out)


def _response(
    model: Model, asked: dict[str, Any], reply: Reply, created_s: int, tool: str | None, limit: int | None
) -> Made:
    stem = f"{secrets.token_hex(8)}01{created_s:08x}"  # with what follows 50 digits, as recorded
    cut = reply.finish == "length"
    output: list[dict[str, Any]] = []
    wanted = asked.get("include")
    included = wanted if isinstance(wanted, list) else []
    if model.reasoning:
        trace: dict[str, Any] = {"id": f"rs_{stem}{secrets.token_hex(12)}", "type": "reasoning", "content": []}
        if _ENCRYPTED in included:
            trace["encrypted_content"] = "gAAAAA" + base64.urlsafe_b64encode(secrets.token_bytes(300)).decode()
        output.append({**trace, "summary": []})
    top = asked.get("top_logprobs") or 0
    likely = openai_logprobs(reply.text, top) if _LIKELY in included else []
    call = {
        "id": f"fc_{stem}{secrets.token_hex(12)}",
        "type": "function_call",
        "status": "incomplete" if cut else "completed",
        "arguments": reply.text,
        "call_id": f"call_{ids.base62(24)}",
        "name": tool,
    }
    output.append(
        call
        if tool is not None
        else {
            "id": f"msg_{stem}{secrets.token_hex(12)}",
            "type": "message",
            "status": "incomplete" if cut else "completed",
            "content": [{"type": "output_text", "annotations": [], "logprobs": likely, "text": reply.text}],
            "role": "assistant",
        }
    )
    text = asked.get("text")
    given = asked.get("reasoning")
    effort = _effort(model, given.get("effort") if isinstance(given, dict) else None)
    thought = _reasoning(effort, reply, limit)
    out = reply.output_tokens + thought
    form = text.get("format") if isinstance(text, dict) else None
    made = {
        "id": f"resp_{stem}{secrets.token_hex(12)}",
        "object": "response",
        "created_at": created_s,
        "status": "incomplete" if cut else "completed",
        "background": False,
        "billing": {"payer": "developer"},
        "completed_at": None if cut else created_s + 1,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": model.dated,
        "moderation": None,
        "output": output,
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": "in_memory",
        "reasoning": {
            "context": "current_turn",
            "effort": effort,
            "mode": "standard",
            "summary": None,
        },
        "safety_identifier": None,
        "service_tier": "default",
        "store": asked.get("store", True),
        "temperature": asked.get("temperature", 1.0),
        "text": {"format": form or {"type": "text"}, "verbosity": "medium"},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tool_usage": {
            "image_gen": {
                "input_tokens": 0,
                "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
                "total_tokens": 0,
            },
            "web_search": {"num_requests": 0},
        },
        "tools": asked.get("tools") or [],
        "top_logprobs": top,
        "top_p": asked.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": out,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": reply.input_tokens + out,
        },
        "user": asked.get("user"),
        "metadata": asked.get("metadata") or {},
    }
    return Made(dumps(made), reply.input_tokens, out, thought)


def _embeddings(model: Model, asked: dict[str, Any]) -> Made:
    value = asked.get("input")
    items = value if isinstance(value, list) else [value]
    if items and all(is_int(item) for item in items):
        items = [items]
    size = asked.get("dimensions") or model.dimensions
    in_base64 = asked.get("encoding_format") == "base64"
    tokens = 0
    data = []
    for index, item in enumerate(items):
        text = item if isinstance(item, str) else dumps(item)
        tokens += count_tokens(text) if isinstance(item, str) else len(item)
        if in_base64:
            vector = f'"{vector_base64(model.name, text, size)}"'
        else:
            vector = vector_text(model.name, text, size, separator=", ")
        data.append(f'{{"object": "embedding", "embedding": {vector}, "index": {index}}}')
    made = (
        f'{{"object": "list", "data": [{", ".join(data)}], "model": {quoted(model.dated)}, '
        f'"usage": {{"prompt_tokens": {tokens}, "total_tokens": {tokens}}}}}'
    )
    return Made(made, tokens, 0)


def _moderation(model: Model, asked: dict[str, Any]) -> Made:
    """Nothing is ever flagged here; the scores are those of a harmless text."""
    value = asked.get("input")
    texts = value if isinstance(value, list) and all(isinstance(one, str) for one in value) else [value]
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_MODERATED, False),
        "category_scores": dict.fromkeys(_MODERATED, 1e-06),
        "category_applied_input_types": {name: ["text"] for name in _MODERATED},
    }
    made = {"id": f"modr-{ids.base62(24)}", "model": model.dated, "results": [result] * len(texts)}
    return Made(dumps(made), 0, 0)


def _video(model: Model, asked: dict[str, Any], created_s: int) -> Made:
    """The job of a video, which is itself no part of the results."""
    made = {
        "id": f"video_{secrets.token_hex(24)}",
        "object": "video",
        "created_at": created_s,
        "status": "completed",
        "completed_at": created_s,
        "error": None,
        "expires_at": created_s + 3_600,
        "model": model.dated,
        "progress": 100,
        "prompt": asked["prompt"],
        "remixed_from_video_id": None,
        "seconds": asked.get("seconds") or "4",
        "size": asked.get("size") or "720x1280",
    }
    return Made(dumps(made), 0, 0)


def _images(asked: dict[str, Any], created_s: int) -> Made:
    """One transparent pixel for each image that was asked for."""
    count = asked.get("n") or 1
    given, made = count_tokens(asked["prompt"]), _IMAGE_TOKENS * count
    body = {
        "created": created_s,
        "background": "transparent",
        "data": [{"b64_json": PIXEL}] * count,
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "usage": {
            "input_tokens": given,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": given},
            "output_tokens": made,
            "total_tokens": given + made,
        },
    }
    return Made(dumps(body), given, made)
