"""Embedding vectors from a seed: the same text on the same model always gives the same unit vector."""

from __future__ import annotations

import base64
import math
from array import array
from hashlib import shake_256

__all__ = ["as_base64", "unit_vector"]


def unit_vector(model: str, text: str, dimensions: int) -> list[float]:
    raw = array("h")
    raw.frombytes(shake_256(f"{model}\0{text}".encode("utf-8", "surrogatepass")).digest(2 * dimensions))
    length = math.sqrt(math.sumprod(raw, raw)) if hasattr(math, "sumprod") else math.hypot(*raw)
    if length == 0:
        return [1.0] + [0.0] * (dimensions - 1)
    return [round(value / length, 9) for value in raw]


def as_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats, as OpenAI sends them on request."""
    return base64.b64encode(array("f", vector).tobytes()).decode()
