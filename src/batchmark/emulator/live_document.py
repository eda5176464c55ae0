"""The live page as one HTML document that loads nothing: its style and script are inside, and its policy lets only these run."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib import resources

__all__ = ["document"]

_SCRIPTS = ("words", "clock", "batches", "calls", "live")


@lru_cache(maxsize=1)
def document() -> tuple[bytes, str]:
    """The document, and the content security policy to send it with."""
    style = _source("live.css")
    script = '(() => {\n"use strict";\n' + "\n".join(_source(f"{name}.js") for name in _SCRIPTS) + "})();\n"
    text = _source("live.html").replace("/* style */", style).replace("/* script */", script)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy


def _source(name: str) -> str:
    text = resources.files("batchmark.emulator").joinpath("page", name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
