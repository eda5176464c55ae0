"""Hostile texts and values, and valid bodies to put them into, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = ["BAD_JSON", "NAMES", "ODD_JSON", "QUERIES", "SAMPLES", "WRONG", "Raw", "encoded", "mutations", "nested"]


def nested(depth: int, *, inner: bytes = b"1") -> bytes:
    return b"[" * depth + inner + b"]" * depth


# What no JSON parser may take.
BAD_JSON: dict[str, bytes] = {
    "nothing": b"",
    "a word": b"nonsense",
    "a half": b'{"a": ',
    "a half string": b'{"a": "b',
    "a tail": b'{"a": 1} x',
    "two documents": b"{}{}",
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a bare control character": b'{"a": "\x01"}',
    "bad UTF-8": b'{"a": "\xff\xfe"}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a bad escape": b'{"a": "\\x41"}',
    "a half escape": b'{"a": "\\u12"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "two high surrogates": b'{"a": "\\ud800\\ud800"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a leading zero": b'{"a": 01}',
    "a plus": b'{"a": +1}',
    "open brackets": b"[" * 100_000,
    "open objects": b'{"a":' * 100_000,
    "an array": b"[]",
    "a number": b"5",
    "a string": b'"a"',
    "null": b"null",
    "NUL": b"\x00" * 1000,
    "100,000 levels": nested(100_000),
    "100,000 levels of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}
# What a JSON parser may take or leave, as a value of any member.
ODD_JSON: dict[str, bytes] = {
    "1e999": b"1e999",
    "-1e999": b"-1e999",
    "1e308": b"1e308",
    "1e-400": b"1e-400",
    "beyond 64 bits": b"123456789012345678901234567890",
    "400 digits": b"9" * 400,
    "5,000 digits": b"9" * 5000,
    "-0": b"-0",
    "duplicate names": b'{"a": 1, "a": {"a": 2}}',
    "NUL": b'"\\u0000"',
    "a lone surrogate": b'"\\udfff"',
    "a pair of surrogates": b'"\\ud83d\\ude00"',
    "bad UTF-8": b'"\xff"',
    "100 levels": nested(100),
    "480 levels": nested(480),
    "900 levels": nested(900),
    "960 levels": nested(960),
    "970 levels": nested(970),
    "980 levels": nested(980),
    "990 levels": nested(990),
    "5,000 levels": nested(5_000),
    "400 levels of objects": b'{"a":' * 400 + b"1" + b"}" * 400,
    "900 levels of objects": b'{"a":' * 900 + b"1" + b"}" * 900,
    "a schema of itself": b'{"anyOf": [{"$ref": "#"}]}',
    "a deep schema": b'{"anyOf": [' * 300 + b"{}" + b"]}" * 300,
    "a schema of 40 schemas": b'{"anyOf": [' * 40 + b"{}" + b"]}" * 40,
    "a huge enumeration": b'{"enum": [%b]}' % b",".join([b"1e308"] * 1000),
    "a schema of constants": b'{"const": 123456789012345678901234567890}',
}
WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    " ",
    "\x00",
    "../../etc/passwd",
    "ä\u202e😀",
    "x" * 5000,
    [],
    [None],
    [[]],
    {},
    {"": ""},
    {"type": []},
    [{"role": [], "content": {"parts": 0}}],
)
# As ids, file names and parts of paths: sent as they are, then percent-encoded.
NAMES: tuple[str, ...] = (
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    ".",
    "..",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "a\x00b",
    "a\r\nset-cookie: b",
    "'; DROP TABLE batches; --",
    '"quoted"',
    "file-*",
    "ä",
    "😀",
    "\u202egnp.exe",
    "a" * 5000,
    "con",
    " ",
    "?",
    "#",
    ";",
    "batch_%00",
    "{id}",
    "CON:stream",
)
# Behind a question mark; the numbers and cursors stand for every parameter that has such.
QUERIES: tuple[str, ...] = (
    *(
        f"{name}={value}"
        for name in ("limit", "pageSize", "page_size")
        for value in (
            "",
            "0",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "%31",
            "%b2",
            "%D9%A3",
            "9" * 30,
            "999999999",
            "null",
            "0x10",
            "%00",
            "%FF",
        )
    ),
    *(
        f"{name}={value}"
        for name in (
            "after",
            "after_id",
            "before_id",
            "pageToken",
            "page_token",
            "order",
            "purpose",
            "key",
            "upload_id",
            "alt",
        )
        for value in (
            *(
                "",
                "%",
                "%zz",
                "%00",
                "%ff%fe",
                "%ED%A0%80",
                "x" * 5000,
                "..%2f..",
                "%27%20OR%201%3D1",
                "%F0%9F%98%80",
                "=",
            ),
            *("YWZ0ZXIgOTk5OTk5OTk5OTk5OTk5OTk5", "YWZ0ZXIgMA", "YWZ0ZXIgLTE", "YWZ0ZXIg4pGg", "____", "YQ", "%C3%A4"),
        )
    ),
    "limit=1&limit=2",
    "after_id=a&before_id=b",
    "&&&===&",
    "%",
    "a[b]=c",
    "&".join(f"a{number}=b" for number in range(2000)),
    "limit=1;limit=2",
)


class Raw(bytes):
    """JSON that is put into a body as it stands."""


def encoded(value: Any) -> bytes:
    """JSON, with every `Raw` in it as it stands."""
    held: list[bytes] = []

    def hold(each: Any) -> Any:
        if isinstance(each, Raw):
            held.append(each)
            return f"\u2603{len(held) - 1}\u2603"
        if isinstance(each, dict):
            return {name: hold(inner) for name, inner in each.items()}
        return [hold(inner) for inner in each] if isinstance(each, list) else each

    text = json.dumps(hold(value), ensure_ascii=False).encode("utf-8", "surrogatepass")
    for number, raw in enumerate(held):
        text = text.replace(f'"\u2603{number}\u2603"'.encode(), raw)
    return text


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*path, number))


def _put(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    here, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[here] = _put(copy[here], tuple(rest), new)
    return copy


def _without(value: Any, path: tuple[str | int, ...]) -> Any:
    here, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[here] = _without(copy[here], tuple(rest))
    else:
        del copy[here]
    return copy


def mutations(sample: Any, *, plain: bool = False) -> Iterator[tuple[str, bytes]]:
    """Every member missing and of every wrong type: a name, and the JSON; `plain`: only what any reader can read."""
    for path in _places(sample):
        where = "/".join(map(str, path)) or "."
        if path:
            yield f"{where} missing", encoded(_without(sample, path))
        before, _, after = encoded(_put(sample, path, Raw(b"\x00"))).partition(b"\x00")
        for name, raw in (_PLAIN if plain else _WRONG_JSON).items():
            yield f"{where}{name}", before + raw + after


def _is_plain(raw: bytes) -> bool:
    try:
        return _depth(msgspec.json.decode(raw)) <= 90
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


_WRONG_JSON = {f" = {str(wrong)[:20]!r}": encoded(wrong) for wrong in WRONG} | {
    f": {name}": raw for name, raw in ODD_JSON.items()
}
_PLAIN = {name: raw for name, raw in _WRONG_JSON.items() if _is_plain(raw)}


_SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 5}, "b": {"$ref": "#/$defs/c"}},
    "$defs": {"c": {"enum": ["x"]}},
}
# The body of a row of each endpoint, with every member that the emulator looks at.
SAMPLES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "max_tokens": 5,
        "temperature": 1,
        "top_p": 1,
        "n": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}},
    },
    "/v1/responses": {
        "model": "gpt-4o-mini",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        "instructions": "be short",
        "max_output_tokens": 16,
        "temperature": 1,
        "text": {"format": {"type": "json_schema", "name": "a", "schema": _SCHEMA}},
        "reasoning": {"effort": "low"},
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": "auto",
        "metadata": {"a": "b"},
        "user": "u",
        "store": False,
    },
    "/v1/embeddings": {
        "model": "text-embedding-3-small",
        "input": ["hello", [1, 2]],
        "dimensions": 8,
        "encoding_format": "base64",
    },
    "/v1/completions": {"model": "gpt-3.5-turbo-instruct", "prompt": ["hello"], "max_tokens": 5, "temperature": 1},
    "anthropic": {
        "model": "claude-haiku-4-5",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "be short"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "temperature": 1,
        "top_p": 1,
        "stream": False,
        "output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}},
    },
    "gemini": {
        "model": "models/gemini-2.5-flash",
        "systemInstruction": {"parts": [{"text": "be short"}]},
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "generationConfig": {
            "maxOutputTokens": 5,
            "temperature": 1,
            "topP": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "responseJsonSchema": _SCHEMA,
        },
    },
    "gemini embeddings": {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": "hello"}]},
        "outputDimensionality": 8,
        "embedContentConfig": {"outputDimensionality": 8},
    },
}
