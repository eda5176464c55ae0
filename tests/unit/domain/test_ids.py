"""Ids: what we make, every provider takes, and it leads back to its row."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchmark.domain.ids import is_ours, make_label, parse_wire_id, row_of, wire_id

JOBS = st.text(st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"), min_size=4, max_size=16)


@given(JOBS, st.integers(0, 999_999), st.integers(1, 999), st.integers(0, 999_999_999))
def test_a_wire_id_leads_back_to_its_label_and_row_and_suits_the_strictest_provider(
    job: str, shard: int, attempt: int, row: int
) -> None:
    label = make_label(job, shard, attempt)
    made = wire_id(label, row)
    assert parse_wire_id(made) == (label, row)
    assert row_of(made, label) == row
    assert row_of(made, make_label(job, shard, attempt + 1)) is None
    assert is_ours(label)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", made)
    assert len(made) <= 48


@pytest.mark.parametrize(
    "text",
    [
        "",
        "request-1",
        "bm-abcd-0-1",
        "bm-abcd-0-1-",
        "bm-abcd-0-1-5x",
        "xbm-abcd-0-1-5",
        "bm-ABCD-0-1-5",
        "bm-abc-0-1-5",
        "bm-abcd-0-1--5",
        "bm-abcd-0-1-5\n",
        "bm-abcd-0-1-٣",
        "bm-abcd-0-1-1234567890",
        "bm-abcd-0-1-²",
    ],
)
def test_what_is_not_ours_is_not_taken_for_ours(text: str) -> None:
    assert parse_wire_id(text) is None
    assert row_of(text, "bm-abcd-0-1") is None


@pytest.mark.parametrize("label", [None, "", "nightly run", "bm-abcd-0-1-7", "bm-abcd-0", "batchmark"])
def test_a_foreign_name_is_no_label(label: str | None) -> None:
    assert not is_ours(label)
