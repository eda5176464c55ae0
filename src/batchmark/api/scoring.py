"""Answers of several targets to the same rows, side by side: scored against what was expected, and the first of them shown.

The answers files are walked together, a row at a time, so their size does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from batchmark.api.jobs import report_job
from batchmark.api.workspace import Workspace
from batchmark.compare.scoring import Scorecard, parse_match
from batchmark.domain.request import ChatRequest, EmbeddingRequest, Text
from batchmark.domain.target import Target
from batchmark.errors import BadInput
from batchmark.ledger.artifacts import open_artifact
from batchmark.ledger.records import JobRecord
from batchmark.report.content import AnswerCell, SampleRow, Scores
from batchmark.workload.columns import ANSWER_FIELDS
from batchmark.workload.rows import Workload

__all__ = ["DEFAULT_EXPECT", "Expect", "check_expect", "score"]

# Rows whose answers stand side by side in the report; the bundled sample fits whole.
_SAMPLES = 60
_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """The column that holds the expected answer, and how an answer is matched with it (see compare.scoring.parse_match)."""

    field: str
    match: str = "contains"

    @property
    def document(self) -> dict[str, str]:
        """As the ledger keeps it."""
        return {"field": self.field, "match": self.match}


DEFAULT_EXPECT = Expect(field="expected")


def check_expect(workload: Workload, expect: Expect) -> None:
    """Raise BadInput, before anything is sent, where no row has the column or the way of matching cannot be used."""
    matcher = parse_match(expect.match)
    _ensure_column(expect.field)
    columns: dict[str, None] = {}
    found = False
    for row in islice(workload.rows(), _LOOKED_AT):
        values = msgspec.json.decode(row.columns) if row.columns else {}
        columns.update(dict.fromkeys(values))
        wanted = _text(values.get(expect.field))
        if wanted is not None:
            found = True
            matcher(wanted, "")
    if not found:
        there = ", ".join(columns) or "none"
        raise BadInput(
            f"--expect {expect.field}: no row of {workload.name} has such a column; columns of its own: {there}",
            hint="nothing was sent",
        )


def _ensure_column(field: str) -> None:
    if field in ANSWER_FIELDS:
        raise BadInput(
            f"--expect {field}: that is a field of every answer, not a column of the rows",
            hint="name the column that holds the expected answer",
        )


def score(
    workspace: Workspace, jobs: Sequence[JobRecord], workload: Workload | None, expect: Expect
) -> tuple[list[SampleRow], Scores]:
    """The first rows side by side, and what all rows come to. `jobs` are one per target, of the same rows; one without answers is left out.

    `workload` is what the rows were read from, for their prompts; None where it is no longer there.
    """
    _ensure_column(expect.field)
    paths = [(Target(job.provider, job.model), report_job(workspace, job.id).answers) for job in jobs]
    there = [(target, path) for target, path in paths if path is not None]
    if not there:
        return [], Scores(match=None)
    targets = [target for target, _ in there]
    card = Scorecard(targets, parse_match(expect.match))
    samples: list[SampleRow] = []
    prompts = _prompts(workload)
    decode = _decoder(expect.field)
    with ExitStack() as stack:
        files = [stack.enter_context(open_artifact(path)) for _, path in there]
        for lines in zip(*files, strict=False):
            answers = [decode(line) for line in lines]
            wanted = _text(answers[0].wanted)
            card.count(wanted, [(target, answer.text) for target, answer in zip(targets, answers, strict=True)])
            if len(samples) < _SAMPLES:
                samples.append(_sample(targets, answers, wanted, next(prompts, ""), card))
    accuracies = card.accuracies
    return samples, Scores(
        match=f"{expect.match} ({expect.field})" if accuracies else None,
        accuracies=accuracies,
        agreements=card.agreements,
    )


def _decoder(field: str) -> Any:
    """A decoder of answer lines that reads little more than the text and one column of the user's."""
    line = msgspec.defstruct(
        "Line",
        [
            ("row", int),
            ("outcome", str),
            ("text", str | None, None),
            ("custom_id", str | int | None, None),
            ("error", dict[str, Any] | None, None),
            ("embedding", list[float] | None, None),
            ("embeddings", list[list[float]] | None, None),
            ("wanted", Any, None),
        ],
        rename={"wanted": field},
    )
    return msgspec.json.Decoder(line).decode


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _sample(
    targets: Sequence[Target], answers: Sequence[Any], expected: str | None, prompt: str, card: Scorecard
) -> SampleRow:
    first = answers[0]
    return SampleRow(
        row=first.row,
        custom_id=None if first.custom_id is None else str(first.custom_id),
        prompt=prompt,
        expected=expected,
        answers=tuple(_cell(target, answer, expected, card) for target, answer in zip(targets, answers, strict=True)),
    )


def _cell(target: Target, answer: Any, expected: str | None, card: Scorecard) -> AnswerCell:
    vectors = answer.embeddings or ([answer.embedding] if answer.embedding is not None else [])
    text = ", ".join(f"a vector of {len(vector)} numbers" for vector in vectors) or answer.text
    error = None if answer.error is None else f"{answer.error.get('code')}: {answer.error.get('message')}"
    matches = None if expected is None else card.is_right(expected, answer.text)
    return AnswerCell(target=target, outcome=answer.outcome, text=text, error=error, matches=matches)


def _prompts(workload: Workload | None) -> Iterator[str]:
    """The prompts of the first rows."""
    if workload is None:
        return
    for row in islice(workload.rows(), _SAMPLES):
        yield _prompt(row.request)


def _prompt(request: object) -> str:
    if isinstance(request, ChatRequest):
        for message in reversed(request.messages):
            if message.role == "user":
                if isinstance(message.content, str):
                    return message.content
                return " ".join(
                    part.text if isinstance(part, Text) else f"[{type(part).__name__.lower()}]"
                    for part in message.content
                )
    if isinstance(request, EmbeddingRequest):
        return " | ".join(request.texts)
    return ""
