"""One model call that the user wants, in the shape common to all providers.

Every kind that batch APIs take is here from the start: text, structured output, tools, images and files, embeddings. A provider's
`encode` either honours all of a request or raises `Unsupported`; nothing is dropped in silence. A body that the user wrote in
OpenAI's own shape is kept beside the common shape (`Verbatim`), so that OpenAI and its look-alikes get it byte for byte.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "ChatRequest",
    "Document",
    "EmbeddingRequest",
    "Image",
    "JsonObject",
    "Message",
    "OtherRequest",
    "Part",
    "Request",
    "Role",
    "Row",
    "Settings",
    "Text",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Unsupported",
    "Verbatim",
]

JsonObject: TypeAlias = dict[str, Any]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


class Unsupported(ValueError):
    """A provider cannot honour part of a request; the message says which part. Turned into a RowError where the row is known."""


class Text(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """Plain text as one part of a message."""

    text: str


class Image(msgspec.Struct, frozen=True, gc=False, tag="image"):
    """An image, by URL or as base64 data with its media type."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None


class Document(msgspec.Struct, frozen=True, gc=False, tag="document"):
    """A file such as a PDF: by URL, by the provider's file id, or as base64 data with its media type."""

    url: str | None = None
    file_id: str | None = None
    data: str | None = None
    media_type: str | None = None
    name: str | None = None


class ToolCall(msgspec.Struct, frozen=True, gc=False, tag="tool_call"):
    """The model's earlier wish to call a tool, as part of an assistant message. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, gc=False, tag="tool_result"):
    """What a tool gave back, as part of a tool message."""

    call_id: str
    content: str


Part: TypeAlias = Text | Image | Document | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn of a conversation. Plain text stays a `str`, the common and quick case."""

    role: Role
    content: str | tuple[Part, ...]


class Tool(msgspec.Struct, frozen=True, gc=False):
    """A function that the model may ask for; `parameters` is its JSON schema."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None


class Settings(msgspec.Struct, frozen=True, gc=False):
    """How to answer. None means the provider's default; token counts are in tokens."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: str | None = None


class Verbatim(msgspec.Struct, frozen=True, gc=False):
    """The body as the user wrote it in OpenAI's shape for `endpoint` (such as `/v1/chat/completions`), and its model."""

    endpoint: str
    body: msgspec.Raw
    model: str | None


class ChatRequest(msgspec.Struct, frozen=True, gc=False):
    """A conversation to be answered.

    `schema` asks for an answer that fits a JSON schema (structured output), `schema_strict` for strictly so where the provider has the
    choice; `json_only` asks for any JSON object. `tool_choice` is `auto`, `none`, `required` or a tool's name. `unknown` names what the
    user's body holds beyond the common shape: only a provider that takes the body verbatim can honour it.
    """

    messages: tuple[Message, ...]
    settings: Settings = Settings()
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: JsonObject | None = None
    schema_name: str | None = None
    schema_strict: bool | None = None
    json_only: bool = False
    unknown: tuple[str, ...] = ()
    verbatim: Verbatim | None = None


class EmbeddingRequest(msgspec.Struct, frozen=True, gc=False):
    """Texts to be turned into vectors."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    unknown: tuple[str, ...] = ()
    verbatim: Verbatim | None = None


class OtherRequest(msgspec.Struct, frozen=True, gc=False):
    """A body for an endpoint that has no common shape (moderations, images, …): only its own provider takes it."""

    verbatim: Verbatim


Request: TypeAlias = ChatRequest | EmbeddingRequest | OtherRequest


class Row(msgspec.Struct, frozen=True, gc=False):
    """One line of the user's file: its number from 0, its line from 1, the user's key and columns, and the request.

    `custom_id` and `columns` are carried through untouched to the answer; `columns` is raw JSON of an object, or None.
    `model` is the model that the row itself names, if any.
    """

    number: int
    line: int
    request: Request
    custom_id: str | int | None = None
    columns: bytes | None = None
    model: str | None = None
