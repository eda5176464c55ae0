"""What is known about Anthropic's Message Batches without talking to it, with source and date."""

from __future__ import annotations

from datetime import date

from batchmark.domain.limits import Limits, Usual
from batchmark.providers.seam import ProviderSpec

__all__ = ["LIMITS", "SPEC"]

LIMITS = Limits(
    max_rows=100_000,
    max_bytes=256_000_000,
    max_row_bytes=32_000_000,
    window_s=86_400,
    expires_s=86_400,
    one_model_per_batch=False,
    default_max_tokens=1024,
    vary_rows=True,
    source="Message Batches guide: 100,000 requests or 256 MB a batch, 24 h; one Messages request may be 32 MB",
    as_of=date(2026, 11, 22),
)

SPEC = ProviderSpec(
    name="anthropic",
    title="Anthropic",
    limits=LIMITS,
    default_model="claude-haiku-5-5",
    default_model_as_of="2026-11-22, genai-prices 0.2.3: cheapest current text model with a batch price",
    wire="batchmark.providers.anthropic.wire",
    client="batchmark.providers.anthropic.client:Anthropic",
    key_variables=("ANTHROPIC_API_KEY",),
    base_url_variable="ANTHROPIC_BASE_URL",
    base_url="https://api.anthropic.com",
    can_delete=True,
    id_prefixes=("msgbatch_",),
    has_live_counts=False,
    cancel_keeps_finished=True,
    usual=Usual(
        p95_s=3_600,
        n=12,
        source="the vendor's word that most end within the hour; published small batches took 10 s to 13 min",
    ),
    has_labels=False,
    sends_at_once=1,
)
