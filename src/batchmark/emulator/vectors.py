"""Embedding vectors from a seed: the same text on the same model always gives the same unit vector.

A vector of 1,536 numbers is 18 kB of JSON, and writing the numbers one by one would be all the work there is. So a model has
a fixed set of rings of numbers, written out once and twice in a row, and a text is given one slice of one ring: at least
65,536 different vectors, each a rotation of a unit vector and so one itself.
"""

from __future__ import annotations

import base64
import functools
import math
from array import array
from hashlib import blake2b, shake_256

__all__ = ["vector_base64", "vector_text"]

_DIFFERENT = 1 << 16
_LEAST_RINGS = 32


class _Ring:
    """One unit vector twice in a row, as JSON text and as bytes."""

    def __init__(self, seed: str, dimensions: int, separator: str) -> None:
        self._dimensions = dimensions
        self._gap = len(separator)
        values = _unit(seed, dimensions)
        texts = [repr(value) for value in values]
        self._text = separator.join(texts * 2)
        self._starts = array("L", [0])
        for text in texts * 2:
            self._starts.append(self._starts[-1] + len(text) + self._gap)
        self._floats = array("f", values * 2).tobytes()

    def text(self, shift: int) -> str:
        return f"[{self._text[self._starts[shift] : self._starts[shift + self._dimensions] - self._gap]}]"

    def floats(self, shift: int) -> bytes:
        return self._floats[4 * shift : 4 * (shift + self._dimensions)]


def _unit(seed: str, dimensions: int) -> list[float]:
    raw = array("h")
    raw.frombytes(shake_256(seed.encode("utf-8", "surrogatepass")).digest(2 * dimensions))
    length = math.hypot(*raw)
    if length == 0:
        return [1.0] + [0.0] * (dimensions - 1)
    return [round(value / length, 9) for value in raw]


@functools.lru_cache(maxsize=512)
def _ring(model: str, dimensions: int, number: int, separator: str) -> _Ring:
    return _Ring(f"{model}\0{dimensions}\0{number}", dimensions, separator)


def _place(model: str, text: str, dimensions: int, separator: str) -> tuple[_Ring, int]:
    mark = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    rings = max(_LEAST_RINGS, _DIFFERENT // dimensions)
    return _ring(model, dimensions, mark % rings, separator), (mark >> 32) % dimensions


def vector_text(model: str, text: str, dimensions: int, *, separator: str = ",") -> str:
    """The vector of a text as a JSON array."""
    ring, shift = _place(model, text, dimensions, separator)
    return ring.text(shift)


def vector_base64(model: str, text: str, dimensions: int) -> str:
    """The vector of a text as little-endian 32-bit floats, as OpenAI sends them on request."""
    ring, shift = _place(model, text, dimensions, ",")
    return base64.b64encode(ring.floats(shift)).decode()
