"""What is known about OpenAI's Batch API without talking to it, with source and date."""

from __future__ import annotations

from datetime import date

from batchmark.domain.limits import Limits, Usual
from batchmark.providers.seam import ProviderSpec

__all__ = ["BATCH_FAMILIES", "LIMITS", "SPEC"]

# Models of the batch endpoint /v1/embeddings: the guide names the endpoint, the price data has no batch price for them.
BATCH_FAMILIES = ("text-embedding-",)

LIMITS = Limits(
    max_rows=50_000,
    max_bytes=200_000_000,
    max_row_bytes=200_000_000,
    window_s=86_400,
    expires_s=86_400,
    one_model_per_batch=True,
    max_embedding_texts=50_000,
    creates_per_hour=2_000,
    file_life_s=7 * 86_400,
    source="openai-openapi 2.3.0 (POST /batches) and the Batch guide: 50,000 requests and 200 MB a file, 24 h, 2,000 creates an hour; "
    "files live as long as we ask for",
    as_of=date(2026, 11, 22),
)

SPEC = ProviderSpec(
    name="openai",
    title="OpenAI",
    limits=LIMITS,
    default_model="gpt-5-nano",
    default_model_as_of="2026-11-22, genai-prices 0.2.3: cheapest current text model with a batch price",
    wire="batchmark.providers.openai.wire",
    client="batchmark.providers.openai.client:OpenAI",
    key_variables=("OPENAI_API_KEY",),
    base_url_variable="OPENAI_BASE_URL",
    base_url="https://api.openai.com/v1",
    can_delete=False,
    id_prefixes=("batch_",),
    has_live_counts=True,
    tokenizer="o200k_base",
    cancel_keeps_finished=True,
    usual=Usual(
        p95_s=20_695,
        n=1_238,
        source="small batches of 2024-05 to 2026-08, from the test records of openai/openai-dotnet",
    ),
)
