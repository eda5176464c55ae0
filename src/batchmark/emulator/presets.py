"""Faults that users of the real services have met, each under a name, as rules. Use one as the rule `preset:NAME`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named set of rules; `source` is the public report that describes what was seen."""

    about: str
    source: str
    rules: tuple[str, ...]


PRESETS: dict[str, Preset] = {
    # OpenAI
    "openai-empty-errors": Preset(
        about="every tenth row ends in an error line with status_code 0 and no body, though counted as completed; "
        "another ends with 503 now and then",
        source="tidyverse/ellmer#830",
        rules=("openai answers row%10 -> empty-error", "openai answers row%10 p=0.2 -> fail 503"),
    ),
    "openai-lost-lines": Preset(
        about="every tenth row is in neither file, though counted as completed",
        source="tidyverse/ellmer#830",
        rules=("openai answers row%10 -> drop-line",),
    ),
    "openai-all-failed": Preset(
        about="a completed batch with an error file only",
        source="ProjectTech4DevAI/kaapi-backend#723, BerriAI/litellm#33987",
        rules=("openai answers -> fail 400",),
    ),
    "openai-expired": Preset(
        about="an expired batch whose unfinished rows say server_error instead of batch_expired",
        source="ProjectTech4DevAI/kaapi-backend#757",
        rules=("openai life -> expire after=0.5 lines=server-error",),
    ),
    "openai-empty-ids": Preset(
        about='an absent file id is "" instead of null',
        source="tobert/kaibo#93",
        rules=("openai life -> empty-ids",),
    ),
    "openai-token-limit": Preset(
        about="the first batch fails after its creation because the queue of tokens is full",
        source="openai/openai-python#2084, #1643",
        rules=("openai life nth=1 -> token-limit",),
    ),
    "openai-bad-input": Preset(
        about="a batch fails its validation after a create that went well",
        source="stdapi-ai/stdapi.ai#240",
        rules=("openai life -> fail-validation invalid_json_line",),
    ),
    "openai-row-errors": Preset(
        about="HTTP errors of rows lie in response.body.error, with a null error beside it",
        source="openai/openai-openapi#302",
        rules=("openai answers row%3 -> fail 400",),
    ),
    "openai-long-finalizing": Preset(
        about="all rows are counted, and finalizing lasts for minutes",
        source="bespokelabsai/curator#287",
        rules=("openai life -> slow-finalizing 600",),
    ),
    "openai-row-quota": Preset(
        about="rows fail with 429 insufficient_quota inside a batch",
        source="a public script's data",
        rules=("openai answers row%3 -> fail 429 code=insufficient_quota",),
    ),
    # Google
    "gemini-reordered": Preset(
        about="responses come in another order than asked",
        source="googleapis/python-genai#1909, googleapis/js-genai#1207",
        rules=("gemini answers -> reorder",),
    ),
    "gemini-lost-keys": Preset(
        about="responses come without the key or metadata of their request",
        source="googleapis/python-genai#1886, #2008",
        rules=("gemini answers -> drop-key",),
    ),
    "gemini-failed-items": Preset(
        about="single rows fail with code 1 or 9 in a batch that succeeded",
        source="langchain4j/langchain4j#4423",
        rules=(
            "gemini answers row=1 -> fail 1",
            'gemini answers row=2 -> fail 9 message="Precondition check failed."',
        ),
    ),
    "gemini-empty-list": Preset(
        about="a list without batches has no key `operations`",
        source="langchain4j/langchain4j#4299",
        rules=("gemini batches.list nth=1 -> lag 1000000000",),
    ),
    "gemini-exhausted": Preset(
        about="429 RESOURCE_EXHAUSTED at create, with details",
        source="langchain4j/langchain4j#3942, googleapis/python-genai#1901",
        rules=("gemini batches.create* nth=1 -> status 429 retry-after=2",),
    ),
    "gemini-billing-stop": Preset(
        about="403 PERMISSION_DENIED in the middle of a run",
        source="eileenhartnett/darkbench-revisited",
        rules=(
            "gemini batches.get nth=2..3 -> status 403"
            ' message="Lightning dunning decision is deny for project: projects/1"',
        ),
    ),
    "gemini-held-quota": Preset(
        about="cancelled and deleted batches fill the quota for two days",
        source="googleapis/python-genai#2495",
        rules=("gemini life -> hold-quota 172800",),
    ),
    "gemini-stuck": Preset(
        about="a day on which nothing is ever begun: PENDING for 48 hours, then EXPIRED with nothing",
        source="googleapis/python-genai#1482, #2221, #2439, #2974, googleapis/js-genai#1453",
        rules=("gemini life -> stuck",),
    ),
    "gemini-blocked": Preset(
        about="refused prompts: promptFeedback and no candidates",
        source="experientiallabs/experiential#783, google/langextract#528",
        rules=("gemini answers row%3 -> block",),
    ),
    # Anthropic
    "anthropic-404-races": Preset(
        about="404 now and then for a batch that exists, and once for results that are there",
        source="anthropics/anthropic-sdk-python#1432",
        rules=(
            "anthropic batches.retrieve nth=1 -> status 404",
            "anthropic batches.retrieve nth=3 -> status 404",
            "anthropic batches.results nth=1 -> status 404",
        ),
    ),
    "anthropic-errored": Preset(
        about="an ended batch with rows that erred, and no word of why",
        source="anthropics/anthropic-sdk-python#899, wandb/weave#7721",
        rules=("anthropic answers row%2 -> fail 400 message=",),
    ),
    "anthropic-expired": Preset(
        about="rows that were not reached in time count as expired, and the others do not make the total",
        source="567-labs/instructor#2529",
        rules=("anthropic life -> expire after=0.5",),
    ),
}
