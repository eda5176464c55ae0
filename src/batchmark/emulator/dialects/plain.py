"""Rows of the plainest shape, which are nearly all there are: read straight into typed values.

A reader here gives an answer only where the careful one of its dialect would accept the row and understand the same;
everything else, valid or not, is None and left to the careful one. A test holds the two against each other.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from batchmark.emulator.answers import Ask
from batchmark.emulator.catalog import CLOSED, Model

__all__ = ["PlainAnthropic", "PlainGemini", "PlainOpenAI", "anthropic_row", "gemini_row", "openai_row"]

_find_openai, _find_anthropic = CLOSED["openai"].find, CLOSED["anthropic"].find
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Some = Annotated[str, Meta(min_length=1)]
_Count = Annotated[int, Meta(ge=1, le=1 << 53)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Heat = Annotated[float, Meta(ge=0, le=2)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Nothing but what is declared may be there."""


# OpenAI


class _Said(_Strict, frozen=True):
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class _ChatBody(_Strict, frozen=True):
    model: _Some
    messages: Annotated[list[_Said], Meta(min_length=1)]
    max_completion_tokens: _Count | None = None
    max_tokens: _Count | None = None
    temperature: _Heat | None = None
    top_p: _Share | None = None


class PlainOpenAI(_Strict, frozen=True):
    """A line that asks for a chat completion."""

    custom_id: _Some
    method: Literal["POST"]
    url: Literal["/v1/chat/completions"]
    body: _ChatBody

    def is_good(self) -> bool:
        """Whether its model surely takes it."""
        body = self.body
        model = _find_openai(body.model)
        if model is None or (model.reasoning and body.max_tokens is not None):
            return False
        return not (model.default_sampling and (body.temperature is not None or body.top_p is not None))

    def ask(self) -> Ask | None:
        """The question of a line; None where the model may refuse it."""
        if not self.is_good():
            return None
        body = self.body
        limit = body.max_completion_tokens
        if limit is None:
            limit = body.max_tokens
        messages = tuple([("system" if one.role == "developer" else one.role, one.content) for one in body.messages])
        return Ask(model=body.model, messages=messages, max_tokens=limit)


_openai = msgspec.json.Decoder(PlainOpenAI).decode


def openai_row(line: bytes) -> PlainOpenAI | None:
    try:
        return _openai(line)
    except _UNREADABLE:
        return None


# Anthropic


class _Turn(_Strict, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: _Some


class _Params(_Strict, frozen=True):
    model: _Some
    messages: Annotated[list[_Turn], Meta(min_length=1)]
    max_tokens: _Count
    system: str = ""


class PlainAnthropic(_Strict, frozen=True):
    """A request of text only, with the default sampling."""

    custom_id: str
    params: _Params

    def ask(self) -> Ask | None:
        params = self.params
        model = _find_anthropic(params.model)
        if model is None or not model.batch or params.max_tokens > model.output:
            return None
        messages = tuple([(one.role, one.content) for one in params.messages])
        if params.system:
            messages = (("system", params.system), *messages)
        return Ask(model=params.model, messages=messages, max_tokens=params.max_tokens)


_anthropic = msgspec.json.Decoder(PlainAnthropic).decode


def anthropic_row(line: bytes) -> PlainAnthropic | None:
    try:
        return _anthropic(line)
    except _UNREADABLE:
        return None


# Gemini


class _Text(_Strict, frozen=True):
    text: str


class _Content(_Strict, frozen=True):
    parts: Annotated[list[_Text], Meta(min_length=1)]
    role: Literal["user", "model"] = "user"


class _System(_Strict, frozen=True):
    parts: Annotated[list[_Text], Meta(min_length=1)]


class _Generation(_Strict, frozen=True):
    maxOutputTokens: _Count | None = None
    temperature: _Heat | None = None
    topP: _Share | None = None


class _Generate(_Strict, frozen=True):
    contents: Annotated[list[_Content], Meta(min_length=1)]
    systemInstruction: _System | None = None
    generationConfig: _Generation | None = None


class PlainGemini(_Strict, frozen=True):
    """A line of a file that asks for text of the batch's own model."""

    key: str
    request: _Generate

    def ask(self, model: Model) -> Ask:
        request = self.request
        messages = [
            ("assistant" if one.role == "model" else "user", "\n".join([part.text for part in one.parts]))
            for one in request.contents
        ]
        if request.systemInstruction is not None:
            messages.insert(0, ("system", "\n".join([part.text for part in request.systemInstruction.parts])))
        limit = None if request.generationConfig is None else request.generationConfig.maxOutputTokens
        return Ask(model=model.name, messages=tuple(messages), max_tokens=limit)


_gemini = msgspec.json.Decoder(PlainGemini).decode


def gemini_row(line: bytes) -> PlainGemini | None:
    try:
        return _gemini(line)
    except _UNREADABLE:
        return None
