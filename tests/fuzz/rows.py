"""Batches whose rows are hostile: whatever stands in them, the batch ends and the other rows have their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.fuzz.target import Finding, Target
from tests.fuzz.values import BAD_JSON, ODD_JSON, SAMPLES, Raw, encoded, mutations, nested

__all__ = ["Rows", "all_rows", "run"]

_Lines = list[tuple[str, bytes]]
_VERSION = ("anthropic-version", "2026-10-21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows with names, and how to make a batch of some; `alone`: one bad row fails the whole batch."""

    name: str
    dialect: str
    lines: _Lines
    make: Callable[[Target, list[bytes]], str]
    alone: bool = False


def _openai(endpoint: str) -> Callable[[Target, list[bytes]], str]:
    return lambda target, lines: target.openai_batch(lines, endpoint)


def _gemini(model: str) -> Callable[[Target, list[bytes]], str]:
    return lambda target, lines: target.gemini_batch(lines, model)


def _inline(target: Target, lines: list[bytes]) -> str:
    return target.gemini_create(b'{"batch":{"inputConfig":{"requests":{"requests":[%b]}}}}' % b",".join(lines))


def _numbered(make: Callable[[int, Raw], object], bodies: Iterator[tuple[str, bytes]]) -> _Lines:
    return [(name, encoded(make(number, Raw(raw)))) for number, (name, raw) in enumerate(bodies)]


def _deep(wrap: bytes) -> Iterator[tuple[str, bytes]]:
    """Nesting at and around what a parser bears."""
    for depth in (*range(900, 1000, 2), 2_000, 100_000):
        yield f"{depth} levels", wrap % nested(depth)


def all_rows() -> Iterator[Rows]:
    for endpoint in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions"):
        sample = SAMPLES[endpoint]
        row = {"custom_id": "a", "method": "POST", "url": endpoint, "body": sample}

        def line(number: int, body: Raw, endpoint: str = endpoint) -> object:
            return {"custom_id": f"row-{number}", "method": "POST", "url": endpoint, "body": body}

        bodies = ((name, raw) for name, raw in mutations(sample, plain=True) if not name.startswith(("model", ".")))
        yield Rows(
            name=f"bodies for {endpoint}", dialect="openai", lines=_numbered(line, bodies), make=_openai(endpoint)
        )
        lines = [*mutations(row), *((name, raw) for name, raw in BAD_JSON.items())]
        lines = [(name, raw) for name, raw in lines if not name.startswith("body/") or name.startswith("body/model")]
        lines += _deep(encoded({**row, "body": {**sample, "x": Raw(b"%b")}}))
        deep_tools = encoded({**row, "body": {**sample, "tools": Raw(b"%b"), "metadata": Raw(b"%b")}})
        lines += [
            (f"tools of {depth} levels", deep_tools % (nested(depth), nested(depth))) for depth in range(900, 1000, 5)
        ]
        yield Rows(name=f"lines for {endpoint}", dialect="openai", lines=lines, make=_openai(endpoint), alone=True)
    for version in ((), (_VERSION,)):
        yield Rows(
            name="params " + "".join(value for _, value in version),
            dialect="anthropic",
            lines=_numbered(
                lambda number, body: {"custom_id": f"row-{number}", "params": body},
                _objects(mutations(SAMPLES["anthropic"], plain=True)),
            ),
            make=lambda target, lines, version=version: target.anthropic_batch(lines, *version),  # type: ignore[misc]
        )
    odd = encoded({"custom_id": "a", "params": {**SAMPLES["anthropic"], "x": Raw(b"%b")}})
    lines = [(f"x: {name}", odd % raw) for name, raw in ODD_JSON.items()] + list(_deep(odd))
    yield Rows(
        name="odd params",
        dialect="anthropic",
        lines=lines,
        make=lambda target, lines: target.anthropic_batch(lines),
        alone=True,
    )
    for kind, model, sample_name in (
        ("content", "gemini-2.5-flash:batchGenerateContent", "gemini"),
        ("embeddings", "gemini-embedding-001:asyncBatchEmbedContent", "gemini embeddings"),
    ):
        row = {"key": "a", "metadata": {"b": "c"}, "request": SAMPLES[sample_name]}
        odd = encoded({"key": Raw(b"%b"), "request": SAMPLES[sample_name]})
        lines = [*mutations(row), *BAD_JSON.items(), *_deep(odd)]
        lines = [(name, raw) for name, raw in lines if b"\n" not in raw]
        yield Rows(name=f"lines for {kind}", dialect="gemini", lines=lines, make=_gemini(model))
        if kind == "content":
            objects = [(name, raw) for name, raw in mutations(row, plain=True) if raw.lstrip().startswith(b"{")]
            yield Rows(name="inline", dialect="gemini", lines=objects, make=_inline)


def _objects(found: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    return ((name, raw) for name, raw in found if raw.startswith(b"{"))


def run(target: Target, rows: Rows, *, deadline_s: float = 15.0) -> list[str]:
    """Make batches of the rows and see them end; every row that keeps one from it, by name. Raises Finding otherwise."""
    if rows.alone:
        found = [_trouble(target, rows, [each], deadline_s) for each in rows.lines]
        return [each for each in found if each is not None]
    whole = _trouble(target, rows, rows.lines, deadline_s)
    return [] if whole is None else [*_culprits(target, rows, rows.lines, deadline_s)][:12] or [whole]


def _trouble(target: Target, rows: Rows, lines: _Lines, deadline_s: float) -> str | None:
    """What went wrong with a batch of these rows; the batch is removed, so that it is not tried for ever."""
    try:
        batch_id = rows.make(target, [raw for _, raw in lines])
    except Finding as finding:
        if "was refused" in str(finding) and rows.alone:
            return None  # the envelope was refused at once, as it may be
        return f"{rows.name}, {lines[0][0]}: {finding}"
    try:
        results = target.ended(rows.dialect, batch_id, deadline_s=deadline_s)
    except Finding as finding:
        target.begin_anew()
        return f"{rows.name}, {lines[0][0]} ({lines[0][1][:200]!r}): {finding}"
    if not rows.alone and len(results) != len([raw for _, raw in lines if raw.strip()]):
        return f"{rows.name}: {len(results)} results of {len(lines)} rows"
    return None


def _culprits(target: Target, rows: Rows, lines: _Lines, deadline_s: float) -> Iterator[str]:
    """Halve a batch that does not end until each row that is to blame stands alone."""
    trouble = _trouble(target, rows, lines, deadline_s)
    if trouble is None:
        return
    if len(lines) == 1:
        yield trouble
        return
    half = len(lines) // 2
    yield from _culprits(target, rows, lines[:half], deadline_s)
    yield from _culprits(target, rows, lines[half:], deadline_s)
