"""What a batch costs of the standard price, for models whose batch price no list holds: only where the provider documents one share for
all its models. A provider that is not here gets no assumed price at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

__all__ = ["DISCOUNTS", "Discount"]


@dataclass(frozen=True, slots=True)
class Discount:
    """`share` of the standard price, in `words`, as `source` said it on `as_of`."""

    share: float
    words: str
    source: str
    as_of: date


def _half(source: str) -> Discount:
    return Discount(0.5, "half", source, date(2026, 11, 22))


DISCOUNTS: dict[str, Discount] = {
    "openai": _half("Batch API guide: 50 % off synchronous prices"),
    "anthropic": _half("Message Batches guide: all usage at 50 % of the standard price"),
    "google": _half("Gemini Batch API guide: 50 % of the standard cost"),
    "azure": _half("Azure OpenAI global batch: 50 % below global standard"),
    "mistral": _half("Batch inference page: 50 % discount"),
    "aws": _half("Amazon Bedrock pricing: batch inference at 50 % of on-demand"),
    "dashscope": _half("Model Studio batch interface: 50 % of real-time prices"),
}
