"""Rough token counts: near enough for a range, and never silent about what they cannot count."""

from __future__ import annotations

import pytest

from batchmark.domain.request import ChatRequest, EmbeddingRequest, Image, Message, Text
from batchmark.domain.tokens import UncountedPart, input_tokens


def test_four_characters_are_about_a_token_and_requests_and_messages_have_four_more() -> None:
    assert input_tokens(ChatRequest((Message("user", "a" * 40),))) == 18
    assert input_tokens(ChatRequest((Message("system", "a" * 4), Message("user", (Text("a" * 8),))))) == 15


def test_other_scripts_count_by_their_bytes() -> None:
    assert input_tokens(EmbeddingRequest(("日本語" * 4,))) == 9


def test_an_image_cannot_be_counted_from_here() -> None:
    with pytest.raises(UncountedPart):
        input_tokens(ChatRequest((Message("user", (Text("What is this?"), Image(url="u"))),)))
