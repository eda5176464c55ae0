"""What is known about the Gemini Batch API without talking to it, with source and date."""

from __future__ import annotations

from datetime import date

from batchmark.domain.limits import Limits, Usual
from batchmark.providers.seam import ProviderSpec

__all__ = ["LIMITS", "SPEC"]

LIMITS = Limits(
    max_rows=200_000,
    max_bytes=2_000_000_000,
    max_row_bytes=20_000_000,
    window_s=86_400,
    expires_s=172_800,
    one_model_per_batch=True,
    inline_max_bytes=4_000_000,
    max_batches_in_flight=100,
    file_life_s=172_800,
    source="Gemini Batch API guide: 2 GB a file, inline below 20 MB (we stay below 4 MB), 24 h target, expiry at 48 h, 100 jobs at once; "
    "no row limit is documented, 200,000 is Vertex AI's",
    as_of=date(2026, 11, 22),
)

SPEC = ProviderSpec(
    name="google",
    title="Google Gemini",
    limits=LIMITS,
    default_model="gemini-2.5-flash-lite",
    default_model_as_of="2026-11-22, genai-prices 0.2.3: cheapest current text model with a batch price",
    wire="batchmark.providers.google.wire",
    client="batchmark.providers.google.client:Google",
    key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    base_url_variable="GOOGLE_GEMINI_BASE_URL",
    base_url="https://generativelanguage.googleapis.com/",
    can_delete=True,
    id_prefixes=("batches/",),
    has_live_counts=True,
    cancel_keeps_finished=False,
    usual=Usual(
        p95_s=32_400,
        n=16,
        source="published reports of 2025-07 to 2026-09: minutes for small batches, 8 to 9 hours in production",
    ),
    expiry_keeps_finished=False,
)
