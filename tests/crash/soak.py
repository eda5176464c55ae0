"""The long proof: a large run on a provider that misbehaves, killed at random again and again and resumed until it ends.

`make soak`, or `python -m tests.crash.soak`; SOAK_SEED, SOAK_ROWS, SOAK_SHARDS, SOAK_KILLS and SOAK_PROVIDER change what it does.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.crash.conftest import PROVIDERS, Site, Stopped, Zygote, opened, write_rows

__all__ = ["Soaked", "soak"]

# What befalls calls, batches and rows. Each rule strikes its share, always the same for the same seed.
FAULTS = (
    "batches.list -> lag 0.3",
    "batches.create* p=0.06 seed={seed} -> drop-after-store",
    "batches.create* p=0.04 seed={seed}1 -> drop-before-store",
    "batches.create* p=0.03 seed={seed}2 -> status 503",
    "batches.create* p=0.04 seed={seed}3 -> visible-late 0.4",
    "batches.list p=0.04 seed={seed}4 -> drop-before-store",
    "batches.list p=0.03 seed={seed}5 -> status 429 retry-after=1",
    "files.create p=0.04 seed={seed}6 -> drop-before-store",
    "files.upload p=0.04 seed={seed}6 -> drop-before-store",
    "files.content p=0.06 seed={seed}7 -> truncate 0.5",
    "batches.results p=0.06 seed={seed}7 -> truncate 0.5",
    "life label=*-1 p=0.1 seed={seed}8 -> expire after=0.6",
    "life -> stuck {slow:.1f}",
    "answers label=*-1 p=0.01 seed={seed}9 -> fail 500",
    "answers label=*-1 p=0.002 seed={seed} -> drop-line",
    "answers label=*-1 p=0.002 seed={seed}1 -> duplicate-line",
    "answers label=*-1 p=0.002 seed={seed}2 -> foreign-line",
)
SETTINGS = {"BATCHMARK_PATIENCE_S": "120", "BATCHMARK_GRACE_S": "1", "BATCHMARK_CREATE_TIMEOUT_S": "2"}
# Uploads that may be under way when a process is killed.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What it took."""

    seed: int
    kills: int
    resumes: int
    batches: int
    asked_again: int
    took_s: float

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.kills} kills and {self.resumes} processes, {self.batches} batches, "
            f"{self.asked_again:,} rows asked again, {self.took_s:.0f} s"
        )


def soak(folder: Path, zygote: Zygote, *, provider: str, seed: int, rows: int, shards: int, kills: int) -> Soaked:
    """Raises AssertionError, naming the seed, where anything was lost, bought twice or put on the wrong row."""
    began = time.monotonic()
    rng = random.Random(seed)
    with opened(provider, folder, zygote, _rules(provider, seed, slow=0.2 + 0.04 * kills)) as site:
        site.settings |= SETTINGS
        if provider == "google":
            site.patches["batchmark.providers.google.limits:SPEC.limits.inline_max_bytes"] = 0
        write_rows(site.folder, rows)
        words = ["run", "rows.jsonl", "--on", provider, "-o", "answers.jsonl", "--attempts", "5"]
        words += ["--shard-rows", str(-(-rows // shards)), "--in-flight", "6"]
        killed = started = 0
        ended: Stopped | None = None
        while ended is None:
            process = site.begin(*(["resume", *site.jobs()] if site_has_run(site) else words))
            started += 1
            # short lives at first, so that no kill is wasted on a run that is over
            life_s = rng.choice((0.1, 0.3, 0.6, 1.2, 2.4)) * rng.uniform(0.5, 1.5) if killed < kills else 600.0
            ended = process.try_wait(life_s)
            if ended is None:
                process.send(signal.SIGKILL)
                process.wait()
                killed += 1
            elif ended.code in (6,) and "asks to wait" in ended.err:
                ended = None
        said = f"SOAK_SEED={seed}: {ended}"
        assert killed >= kills, f"{said}: over after {killed} kills"
        assert ended.code == 0, said
        told = [(row["row"], row["custom_id"], row["mine"], row["outcome"]) for row in site.rows()]
        assert told == [(number, f"id-{number}", number, "succeeded") for number in range(rows)], said
        site.check_bought_once(uploaded_again=_AT_ONCE * (killed + 1) + shards)
        made = site.made()
        return Soaked(
            seed=seed,
            kills=killed,
            resumes=started,
            batches=len(made),
            asked_again=sum(each.rows for each in made) - rows,
            took_s=time.monotonic() - began,
        )


def site_has_run(site: Site) -> bool:
    return (site.home / "ledger.sqlite3").exists() and bool(site.jobs())


def _rules(provider: str, seed: int, *, slow: float) -> list[str]:
    """The faults that this provider's dialect knows; batches take `slow` seconds, so that no run is over before its last kill."""
    from batchmark.emulator.faults import RuleError, parse

    made = []
    for rule in FAULTS:
        text = f"{provider} {rule.format(seed=seed % 100_000, slow=slow)}"
        try:
            parse(text)
        except RuleError:
            continue
        made.append(text)
    return made


def main() -> None:
    """Soak one provider, or all, and say what it took."""
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(1_000_000))
    rows, shards = int(os.environ.get("SOAK_ROWS") or 20_000), int(os.environ.get("SOAK_SHARDS") or 48)
    kills = int(os.environ.get("SOAK_KILLS") or 50)
    chosen = os.environ.get("SOAK_PROVIDER")
    zygote = Zygote()
    try:
        for provider in [chosen] if chosen else PROVIDERS:
            sys.stderr.write(f"{provider}: {rows:,} rows in {shards} shards, SOAK_SEED={seed}\n")
            with tempfile.TemporaryDirectory(prefix="batchmark-soak-") as folder:
                done = soak(Path(folder), zygote, provider=provider, seed=seed, rows=rows, shards=shards, kills=kills)
            sys.stdout.write(f"{provider}, {done}\n")
            sys.stdout.flush()
    finally:
        zygote.close()


if __name__ == "__main__":
    main()
