"""Made-up probabilities of an answer's tokens, the same for the same answer. A token is four characters, as they are counted here."""

from __future__ import annotations

from itertools import accumulate
from typing import Any
from zlib import crc32

from batchmark.emulator.answers.free import CHARACTERS

__all__ = ["MOST", "gemini_logprobs", "openai_logprobs", "plain_logprobs"]

MOST = 20  # alternatives of a token
_OTHERS = (
    *(" the", ",", ".", " a", " and", " of", " to", " in", " is", " it", " that"),
    *(" for", " on", " as", "\n", " I", " we", " not", " or", " be", " at"),
)


def _tokens(text: str) -> list[str]:
    return [text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS)]


def _ranked(token: str, place: int, top: int) -> list[tuple[str, float]]:
    """The token and, where asked for, less likely ones after it: natural logarithms."""
    luck = crc32(f"{place} {token}".encode("utf-8", "surrogatepass"))
    first = -(luck % 1_000) / 1_000
    others = [other for other in _OTHERS if other != token]
    turn = luck % len(others)
    return [
        (token, round(first, 6)),
        *(
            (other, round(first - 1 - rank / 2, 6))
            for rank, other in enumerate((others[turn:] + others[:turn])[: max(0, top - 1)])
        ),
    ]


def openai_logprobs(text: str, top: int) -> list[dict[str, Any]]:
    """Each token with its bytes and the `top` likeliest, as chat completions and responses have them."""
    found = []
    for place, token in enumerate(_tokens(text)):
        ranked = [_openai(*each) for each in _ranked(token, place, top)]
        found.append({**ranked[0], "top_logprobs": ranked if top else []})
    return found


def _openai(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def plain_logprobs(text: str, top: int, offset: int = 0) -> dict[str, Any]:
    """As the older completions have them; `offset`: the characters before the text."""
    tokens = _tokens(text)
    ranked = [_ranked(token, place, top) for place, token in enumerate(tokens)]
    return {
        "tokens": tokens,
        "token_logprobs": [each[0][1] for each in ranked],
        "top_logprobs": [dict(each) for each in ranked] if top else None,
        "text_offset": list(accumulate((len(token) for token in tokens[:-1]), initial=offset)) if tokens else [],
    }


def gemini_logprobs(text: str, top: int) -> dict[str, Any]:
    """The `logprobsResult` of a candidate."""
    ranked = [_ranked(token, place, top) for place, token in enumerate(_tokens(text))]
    result: dict[str, Any] = {"chosenCandidates": [_gemini(*each[0]) for each in ranked]}
    if top:
        result["topCandidates"] = [{"candidates": [_gemini(*one) for one in each]} for each in ranked]
    return result


def _gemini(token: str, logprob: float) -> dict[str, Any]:
    return {
        "token": token,
        "tokenId": crc32(token.encode("utf-8", "surrogatepass")) % 256_000,
        "logProbability": logprob,
    }
