"""More shards than the provider has room for: it is kept full, nothing fails for want of room, and nothing is uploaded twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchmark.ledger.records import BatchRecord
from tests.crash.conftest import PROVIDERS, Site, Zygote, opened, write_rows

# The provider's clock runs so much faster than ours, so that a batch takes two seconds of ours and minutes of its own: OpenAI tells whole
# seconds only.
SCALE = 120
SETTINGS = {"BATCHMARK_CREATE_TIMEOUT_S": "600"}
ROWS = 3


def fill(site: Site) -> float:
    """How many batches were under way on average, on the provider's clock, from the first one made to the last one made."""
    ledger = site.ledger()
    try:
        batches: list[BatchRecord] = [batch for job in site.jobs() for batch in ledger.batches(job).values()]
    finally:
        ledger.close()
    spans = [(each.created_at, each.ended_at) for each in batches if each.created_at and each.ended_at]
    first, last = min(made for made, _ in spans), max(made for made, _ in spans)
    under_way = sum((min(ended, last) - made).total_seconds() for made, ended in spans)
    return under_way / (last - first).total_seconds()


def run(site: Site, shards: int) -> None:
    write_rows(site.folder, shards * ROWS)
    site.settings |= SETTINGS
    ended = site.run("run", "rows.jsonl", "--on", site.provider, "-o", "answers.jsonl", "--shard-rows", str(ROWS))
    assert ended.code == 0, ended.err
    assert [(row["mine"], row["outcome"], row["attempt"]) for row in site.rows()] == [
        (number, "succeeded", 1) for number in range(shards * ROWS)
    ]
    site.check_bought_once()
    assert set(site.uploads().values()) <= {1}, "a shard was uploaded twice"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_room_there_is_is_used_and_nothing_fails_for_want_of_more(
    tmp_path: Path, zygote: Zygote, provider: str
) -> None:
    shards = 96 if provider == "openai" else 48
    slow = f"* life -> stuck {SCALE * 1.2:g}"
    limits = ("*.max_batches_in_flight=8",)
    with opened(provider, tmp_path, zygote, [slow], limits=limits, time_scale=SCALE) as site:
        run(site, shards)
        average = fill(site)
        # a busy machine has gaps between a batch's end and the next one's beginning; room that is not found leaves one or two
        assert average >= 0.5 * 8, f"only {average:.2f} of 8 batches were under way on average"
        refused = len(site.journal("batches.create*")) - shards
        assert refused <= 24, f"{refused} creates found no room for {shards} batches: the limit was not learnt"


def test_a_queue_that_takes_few_tokens_is_learnt_from_its_refusals(tmp_path: Path, zygote: Zygote) -> None:
    # a row is some 200 bytes on the wire, so a shard counts for some 150 tokens there: five fit
    slow = f"openai life -> stuck {SCALE * 1:g}"
    limits = ("openai.queued_tokens=850",)
    with opened("openai", tmp_path, zygote, [slow], limits=limits, time_scale=SCALE) as site:
        run(site, 40)
        refused = len(site.made()) - 40
        assert 0 < refused <= 24, f"{refused} batches found no room"
        average = fill(site)
        assert average >= 0.8 * 5, f"only {average:.2f} of 5 batches were under way on average"
