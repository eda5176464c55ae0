"""The long run: `SEED=… DIALECT=… MINUTES=… python -m tests.fuzz`. Every round has a seed of its own, printed before it begins."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.fuzz import generated, rows, uploads
from tests.fuzz.cases import FAMILIES, Seeds, seeds
from tests.fuzz.descriptions import DIALECTS
from tests.fuzz.floods import FLOODS, break_off, flood, throng
from tests.fuzz.target import Finding, Target, running
from tests.fuzz.values import NAMES

_Step = tuple[str, Callable[[], object]]


def _steps(target: Target, known: Seeds, luck: random.Random, dialects: tuple[str, ...]) -> Iterator[_Step]:
    """Everything, in an order of the round's own; the cases of other dialects left out."""
    prefixes = tuple(f"/{dialect}/" for dialect in dialects)
    for family, cases in FAMILIES.items():
        for case in cases(known):
            if case.request.target.startswith(prefixes) or case.raw:
                yield f"{family}: {case.name}", partial(case.run, target)
    if "openai" in dialects:
        for name in NAMES:
            yield f"a file called {name[:30]!r}", partial(uploads.named_file, target, name)
    for number in range(200):
        own = luck.randrange(1 << 32)
        if "gemini" in dialects:
            yield (
                f"a resumable upload {own}",
                partial(uploads.gemini_session, target, random.Random(own), steps=30),
            )
        if "openai" in dialects:
            yield (
                f"an upload in parts {own}",
                partial(uploads.openai_session, target, random.Random(own), steps=30),
            )
        if number % 40 == 0:
            yield f"a throng {own}", partial(throng, target, known, random.Random(own), calls=600)
            yield f"requests that break off {own}", partial(break_off, target, random.Random(own), times=100)
    if Path("/proc/self/clear_refs").exists():
        for name in FLOODS:
            yield f"a flood: {name}", partial(flood, target, name, megabytes=luck.choice((300, 700)))


def _round(seed: int, dialects: tuple[str, ...], ends: float) -> list[str]:
    """One round on a new emulator; what was found, each kind once."""
    luck = random.Random(seed)
    found: dict[str, str] = {}

    def note(name: str, text: str) -> None:
        key = " | ".join(line.strip() for line in text.splitlines()[-2:])[-200:]
        if key not in found:
            found[key] = f"{name}\n{text}"
            print(f"  found: {name[:150]}", flush=True)

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, running(Path(folder)) as target:
        known = seeds(target)
        for dialect in dialects:
            for finding in generated.fuzz(target, known, dialect, examples=60, seed=seed):
                note(f"made from the description of {dialect}", str(finding))
        target.begin_anew()
        for kind in rows.all_rows():
            if kind.dialect in dialects and time.monotonic() < ends:
                for text in rows.run(target, kind):
                    note(kind.name, text)
        known = seeds(target)
        steps = list(_steps(target, known, luck, dialects))
        luck.shuffle(steps)
        for number, (name, step) in enumerate(steps):
            if time.monotonic() > ends:
                print(f"  the time is over after {number} of {len(steps)} steps", flush=True)
                break
            try:
                step()
                if number % 500 == 499:
                    target.look_back()
            except Finding as finding:
                note(name, str(finding))
                if target.log.kept or "does not end" in str(finding):
                    target.begin_anew()
        try:
            target.look_back()
        except Finding as finding:
            note("afterwards", str(finding))
    return list(found.values())


def main() -> int:
    minutes = float(os.environ.get("MINUTES", "10"))
    chosen = os.environ.get("DIALECT")
    if chosen is not None and chosen not in DIALECTS:
        print(f"no dialect is called {chosen!r}: choose {', '.join(DIALECTS)}", file=sys.stderr)
        return 2
    given = os.environ.get("SEED")
    ends = time.monotonic() + 60 * minutes
    found: list[str] = []
    while time.monotonic() < ends and not found:
        seed = random.SystemRandom().randrange(1 << 32) if given is None else int(given)
        print(f"SEED={seed}" + (f" DIALECT={chosen}" if chosen else ""), flush=True)
        found = _round(seed, (chosen,) if chosen else DIALECTS, ends)
        if given is not None:
            break
    for text in found:
        print(f"\n{text}")
    print(f"\n{len(found)} kinds of failures" if found else "nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
