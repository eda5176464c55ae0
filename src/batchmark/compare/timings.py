"""Anybody's records of batches as the facts of jobs, and what of them cannot be used.

A curve of turnaround needs to know of every job that did not finish how long it certainly had waited. Where a record says so it is
believed; where it does not, the job is counted but has no such time, and is in no curve: a guess would move every figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from batchmark.compare.measures import BatchFacts, JobFacts
from batchmark.compare.records import (
    COLUMNS,
    Fields,
    Format,
    Records,
    Rejected,
    Rejections,
    Unusable,
    Zones,
    as_count,
    as_seconds,
)
from batchmark.compare.rounds import rounds_of
from batchmark.domain.lifecycle import State
from batchmark.domain.target import Target
from batchmark.domain.totals import Totals
from batchmark.domain.usage import NO_USAGE, Usage
from batchmark.errors import BadInput

__all__ = ["STATES", "Timings", "read_timings"]

# Every word that the providers of the registry use, and our own. Google's carry one of two prefixes.
STATES: dict[str, State] = {
    "QUEUED": State.QUEUED,
    "PENDING": State.QUEUED,
    "VALIDATING": State.QUEUED,
    "RUNNING": State.RUNNING,
    "IN_PROGRESS": State.RUNNING,
    "UPDATING": State.RUNNING,
    "PAUSED": State.RUNNING,
    "FINALIZING": State.FINALIZING,
    "CANCELLING": State.CANCELLING,
    "CANCELING": State.CANCELLING,
    "SUCCEEDED": State.SUCCEEDED,
    "PARTIALLY_SUCCEEDED": State.SUCCEEDED,
    "COMPLETED": State.SUCCEEDED,
    "ENDED": State.SUCCEEDED,
    "FAILED": State.FAILED,
    "EXPIRED": State.EXPIRED,
    "CANCELLED": State.CANCELLED,
    "CANCELED": State.CANCELLED,
}
_TOLD_APART = 20  # words of unknown states; a file that is all wrong should not fill a page
_ROUND_IS = "jobs of the same round as the file says"
_NEEDED = ("created_at", "state", "ended_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Records as jobs, those that are kept out, what a round is, and sentences that a reader must see before the figures."""

    jobs: tuple[JobFacts, ...]
    kept_out: tuple[Rejected, ...]
    round_is: str
    notes: tuple[str, ...]


class _Draft(NamedTuple):
    """A job but for its round, which needs to know them all."""

    line: int
    id: str | None
    target: Target
    round: str | None
    batch: BatchFacts
    totals: Totals
    counted: bool
    told_s: float | None
    created_at: datetime


def read_timings(
    lines: Iterable[bytes],
    *,
    name: str,
    format: Format,
    target: Target | None,
    windows_s: Mapping[str, float] | None = None,
) -> Timings:
    """The jobs of a file called `name`, from its lines. `target` is what they are of where a record does not say.

    `windows_s` is how long each provider goes on with a batch before it lets it expire. Raises BadInput for a file without the columns it
    needs, of records whose target is not known, of times with a zone and without, or without a single record that can be used.
    """
    reader = _Reader(name, target, windows_s or {})
    records = Records(lines, name=name, format=format)
    for line, fields in records:
        if isinstance(fields, Unusable):
            reader.rejections.add(fields.reason, f"line {line}")
            continue
        if format == "csv" and not reader.drafts:
            _check_columns(name, records.columns)
        reader.take(line, fields)
    _check_columns(name, records.columns)
    return reader.done()


def _check_columns(name: str, columns: Iterable[str]) -> None:
    there = {column.lower() for column in columns}
    missing = []
    for wanted in _NEEDED:
        choices = COLUMNS[wanted] if wanted != "ended_at" else (*COLUMNS[wanted], *COLUMNS["turnaround_s"])
        if there.isdisjoint(choices):
            missing.append(
                {"state": "state or status", "ended_at": "ended_at or turnaround_s"}.get(wanted, "created_at")
            )
    if missing:
        found = ", ".join(columns) or "none"
        raise BadInput(
            f"{name} has no column {' and no '.join(missing)}; its columns are: {found[:300]}",
            hint="needed are created_at, state or status, and ended_at or turnaround_s",
        )


class _Reader:
    """Takes records one by one."""

    def __init__(self, name: str, target: Target | None, windows_s: Mapping[str, float]) -> None:
        self._name, self._target, self._windows_s = name, target, windows_s
        self._zones = Zones()
        self._targets: dict[tuple[str, str], Target] = {}
        self._ids: set[tuple[str, str]] = set()
        self._words: dict[str, State] = {}
        self._strange: set[str] = set()
        self._filled_in = 0
        self._by_window = 0
        self.rejections = Rejections()
        self.drafts: list[_Draft] = []

    def take(self, line: int, fields: Fields) -> None:
        """Raises BadInput where a record is of no known target."""
        try:
            draft = self._draft(line, fields)
        except Unusable as why:
            self.rejections.add(why.reason, f"line {line}")
        else:
            self.drafts.append(draft)

    def _draft(self, line: int, fields: Fields) -> _Draft:
        word, state = self._state(fields)
        if "created_at" not in fields:
            raise Unusable("no created_at")
        times = {each: self._zones.moment(each, fields[each], line) for each in fields if each in _TIMES}
        created = times["created_at"]
        if any(moment < created for moment in times.values()):
            raise Unusable("negative duration")
        state = _how_it_ended(word, state, fields, times)
        durations = {each: as_seconds(fields[each], each) for each in fields if each in _DURATIONS}
        rows, totals, counted = _counts(state, fields)
        target = self._target_of(line, fields)
        id_ = str(fields["id"]) if "id" in fields else None
        if id_ is not None:
            if (target.provider, id_) in self._ids:
                raise Unusable("the same id as an earlier record")
            self._ids.add((target.provider, id_))
        if state is State.SUCCEEDED:
            told = durations.get("turnaround_s")
        else:
            told = self._waited_s(state, target, times, durations)
        began = times.get("started_at")
        if began is None and "validating_s" in durations:
            began = created + timedelta(seconds=durations["validating_s"])
        finalizing = times.get("finalizing_at")
        if finalizing is None and began is not None and "running_s" in durations:
            finalizing = began + timedelta(seconds=durations["running_s"])
        batch = BatchFacts(
            id=id_ or f"line {line}",
            state=state,
            raw_status=word,
            rows=rows,
            created_at=created,
            started_at=began,
            finalizing_at=finalizing,
            ended_at=times.get("ended_at") if state.terminal else None,
            cancelling_at=times.get("cancelling_at"),
            last_seen_at=times.get("last_seen_at"),
        )
        label = str(fields["round"]) if "round" in fields else None
        return _Draft(line, id_, target, label, batch, totals, counted, told, created)

    def _state(self, fields: Fields) -> tuple[str, State]:
        word = fields.get("state")
        if word is None:
            raise Unusable("no state")
        word = str(word).strip()
        found = self._words.get(word)
        if found is None:
            found = STATES.get(word.upper().removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_"))
        if found is not None:
            self._words[word] = found
            return word, found
        if len(self._strange) < _TOLD_APART:
            self._strange.add(word)
        raise Unusable(
            f"a state that is not known: {word[:40]!r}" if word in self._strange else "another state that is not known"
        )

    def _target_of(self, line: int, fields: Fields) -> Target:
        provider, model = str(fields.get("provider", "")).strip().lower(), str(fields.get("model", "")).strip()
        if not provider or not model:
            if self._target is None:
                missing = " and no ".join(
                    each for each, there in (("provider", provider), ("model", model)) if not there
                )
                raise BadInput(
                    f"{self._name} line {line} names no {missing}",
                    hint="say what the records are of, such as: --as openai:gpt-4o-mini",
                )
            self._filled_in += 1
            # a model of one provider is none of another's
            if provider and provider != self._target.provider:
                raise Unusable(f"no model, and {provider} is not the provider that was named")
            provider, model = provider or self._target.provider, model or self._target.model
        return self._targets.setdefault((provider, model), Target(provider, model))

    def _waited_s(
        self, state: State, target: Target, times: Mapping[str, datetime], durations: Mapping[str, float]
    ) -> float | None:
        """How long a record that did not finish is known to have waited; None where nothing in it says so."""
        if "waited_s" in durations:
            return durations["waited_s"]
        created = times["created_at"]
        window = self._windows_s.get(target.provider)
        if "expires_at" in times:
            window = (times["expires_at"] - created).total_seconds()
        if state is State.CANCELLED:
            known = ("cancelling_at", "cancelled_at", "ended_at", "last_seen_at")
            return _first(created, times, known, durations.get("turnaround_s"))
        if state is not State.EXPIRED:
            return _first(created, times, ("cancelling_at", "last_seen_at"), None)
        if "running_s" in durations:
            return _until_it_stopped(durations.get("validating_s", 0.0), durations["running_s"], window)
        told = _first(created, times, ("ended_at",), durations.get("turnaround_s"))
        if told is None and "expires_at" in times:
            told = window
        if told is None:
            told = durations.get("expire_s")
        if told is None:
            told = _first(created, times, ("last_seen_at",), None)
        if told is None and window is not None:
            self._by_window += 1
            told = window
        return told

    def done(self) -> Timings:
        """All that was taken, as jobs. Raises BadInput where there is none."""
        kept_out = self.rejections.all()
        if self._zones.without is not None and self._zones.with_zone is not None:
            line, column, text = self._zones.without
            raise BadInput(
                f"{self._name} line {line}: time zones mixed: {column} {text!r} has none, line {self._zones.with_zone} has one",
                hint="give every time its offset, such as 2026-01-31T12:00:00Z",
            )
        if not self.drafts:
            reasons = "; ".join(f"{each.count} with {each.reason} ({', '.join(each.places)})" for each in kept_out[:5])
            raise BadInput(f"{self._name} holds no usable record{f': {reasons}' if reasons else ''}")
        numbers, round_is, notes = self._rounds()
        jobs = tuple(self._job(draft, number) for draft, number in zip(self.drafts, numbers, strict=True))
        return Timings(jobs=jobs, kept_out=kept_out, round_is=round_is, notes=(*notes, *self._notes()))

    def _job(self, draft: _Draft, number: int) -> JobFacts:
        usage = draft.totals.usage
        return JobFacts(
            id=draft.batch.id,
            target=draft.target,
            round=number,
            rows=draft.batch.rows,
            emulated=False,
            created_at=draft.created_at,
            ended_at=None,
            problem=None,
            totals=draft.totals,
            batches=(draft.batch,),
            counted=draft.counted,
            priced=bool(usage.input_tokens or usage.output_tokens),
            told_s=draft.told_s,
            origin=f"{self._name} line {draft.line}",
        )

    def _rounds(self) -> tuple[Sequence[int], str, list[str]]:
        """The round of each draft: the file's own where every record has one."""
        without = sum(draft.round is None for draft in self.drafts)
        if without == 0:
            began: dict[str, datetime] = {}
            for draft in self.drafts:
                label = draft.round or ""
                began[label] = min(began.get(label, draft.created_at), draft.created_at)
            order = {label: at for at, label in enumerate(sorted(began, key=lambda label: began[label]), start=1)}
            return [order[draft.round or ""] for draft in self.drafts], _ROUND_IS, []
        found = rounds_of([draft.created_at for draft in self.drafts])
        notes = []
        if without < len(self.drafts):
            notes.append(f"The column round is not used: {without:,} of {len(self.drafts):,} records have none")
        return found.numbers, found.round_is, notes

    def _notes(self) -> list[str]:
        notes = []
        if self._zones.without is not None:
            notes.append(f"No time in {self._name} has a time zone: all of them are taken as UTC")
        if self._filled_in:
            notes.append(
                f"{_records(self._filled_in)} of {self._name} without provider or model: taken for {self._target}, as --as says"
            )
        if self._by_window:
            notes.append(
                f"{_records(self._by_window)} expired without any time: taken as not done for the whole completion window of the provider"
            )
        silent = sum(
            draft.told_s is None and draft.batch.state not in (State.SUCCEEDED, State.FAILED) for draft in self.drafts
        )
        if silent:
            notes.append(
                f"{_records(silent)} cancelled or not over, without a time up to which they had waited: in no curve; if they were the slow "
                "ones, the true times are longer"
            )
        return notes


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


_TIMES = frozenset(name for name in COLUMNS if name.endswith("_at"))
_DURATIONS = frozenset(name for name in COLUMNS if name.endswith("_s"))


def _how_it_ended(word: str, state: State, fields: Fields, times: Mapping[str, datetime]) -> State:
    """Anthropic's `ended` says only that it is over; a record may say more. One that was asked to stop and still finished is told by its
    counts alone."""
    if word.lower() != "ended":
        return state
    if as_count(fields, "expired"):
        return State.EXPIRED
    if as_count(fields, "cancelled") or "cancelled_at" in times:
        return State.CANCELLED
    if "cancelling_at" not in times:
        return state
    requests, succeeded = as_count(fields, "requests"), as_count(fields, "succeeded")
    return state if requests and succeeded == requests else State.CANCELLED


def _first(
    created: datetime, times: Mapping[str, datetime], names: Sequence[str], otherwise: float | None
) -> float | None:
    """Seconds to the first of these times that is told."""
    for name in names:
        if name in times:
            return (times[name] - created).total_seconds()
    return otherwise


def _until_it_stopped(validating_s: float, running_s: float, window_s: float | None) -> float:
    """How long an expired batch was worked on, from its parts; clearing up after that is no waiting.

    Its window ran from its creation, so the seconds of validation count no further than to the window's end; a batch that was let run
    beyond it counts for as long as it ran.
    """
    both = validating_s + running_s
    return both if window_s is None else min(both, max(window_s, running_s))


def _counts(state: State, fields: Fields) -> tuple[int, Totals, bool]:
    """Requests, what became of them, and whether that is told. Of a batch that is not over it never is."""
    requests, succeeded = as_count(fields, "requests"), as_count(fields, "succeeded")
    failed, expired = as_count(fields, "failed"), as_count(fields, "expired") or 0
    read, written = as_count(fields, "input_tokens"), as_count(fields, "output_tokens")
    usage = Usage(read or 0, written or 0) if read or written else NO_USAGE
    if requests is None and succeeded is not None and failed is not None:
        requests = succeeded + failed + expired
    # providers say 0 until they have looked, which says nothing about the batch
    if not requests or succeeded is None or not state.terminal:
        return requests or 0, Totals(usage=usage), False
    left = requests - succeeded - (failed or 0) - expired
    if left < 0:
        raise Unusable("counts that do not add up")
    totals = Totals(submitted=requests, succeeded=succeeded, errored=failed or 0, expired=expired, usage=usage)
    # where nobody counted the failed ones, they are what is left
    totals.add_rest(left, State.FAILED if failed is None and state is State.SUCCEEDED else state)
    return requests, totals, True
