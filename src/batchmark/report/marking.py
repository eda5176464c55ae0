"""What differs between an answer and the one it is held against, word by word, as marked text for a page."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from markupsafe import Markup, escape

from batchmark.report.words import visible

__all__ = ["marked"]

_WORD = re.compile(r"\w+|[^\w\s]+|\s+")
# comparing takes the product of the two lengths
_MOST_PAIRS = 400_000


def marked(text: str, against: str | None) -> Markup:
    """The text with `<mark>` around the words that `against` does not have there; unmarked where that is None, the same or too long."""
    words = _WORD.findall(visible(text))
    others = [] if against is None else [each for each in _WORD.findall(visible(against)) if not each.isspace()]
    mine = [each for each in words if not each.isspace()]
    if not others or len(mine) * len(others) > _MOST_PAIRS:
        return escape(visible(text))
    alike = [False] * len(mine)
    folded = [[each.casefold() for each in side] for side in (others, mine)]
    for block in SequenceMatcher(None, folded[0], folded[1], autojunk=False).get_matching_blocks():
        alike[block.b : block.b + block.size] = [True] * block.size
    return Markup("").join(_pieces(words, alike))


def _pieces(words: list[str], alike: list[bool]) -> list[Markup]:
    """Runs of marked words in one mark each, with the spaces between them."""
    pieces: list[Markup] = []
    run: list[str] = []
    place = 0
    for number, word in enumerate(words):
        if word.isspace():
            inside = run and number + 1 < len(words) and not alike[place]
            if inside:
                run.append(word)
            else:
                pieces += _closed(run)
                pieces.append(escape(word))
            continue
        if alike[place]:
            pieces += _closed(run)
            pieces.append(escape(word))
        else:
            run.append(word)
        place += 1
    return pieces + _closed(run)


def _closed(run: list[str]) -> list[Markup]:
    if not run:
        return []
    text = escape("".join(run))
    run.clear()
    return [Markup("<mark>{}</mark>").format(text)]
