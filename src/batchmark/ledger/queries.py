"""The ledger's statements by name. Each is built once; values are bound at the call."""

from __future__ import annotations

from sqlalchemy import Select, and_, bindparam, case, delete, func, insert, or_, select, update

from batchmark.ledger.tables import batches, events, jobs, runs, shards

__all__ = [
    "ADD_BATCH",
    "ADD_EVENT",
    "ADD_JOB",
    "ADD_RUN",
    "ADD_SHARD",
    "BATCHES_OF_JOB",
    "BATCHES_ON_ACCOUNT",
    "BATCH_OF_SHARD",
    "CHANGE_BATCH",
    "CHANGE_JOB",
    "CHANGE_RUN",
    "CHANGE_SHARD",
    "ENDED_BATCHES",
    "EVENTS_OF_JOB",
    "EVENTS_OF_KIND",
    "FORGET_EVENTS",
    "FORGET_RELEASED",
    "FORGET_RUN",
    "HELD_WITHOUT_PROOF",
    "JOBS_OF_BATCHES",
    "JOBS_OF_RUN",
    "JOBS_WITH_EVENT",
    "JOB_BY_BATCH",
    "JOB_BY_ID",
    "KNOWN_BATCHES",
    "LOOK_AGAIN",
    "MOVE_SHARD",
    "RUN_BY_ID",
    "RUN_LINES",
    "SHARDS_OF_JOB",
    "SHARD_BY_ID",
    "UNCONFIRMED",
]

ADD_RUN = insert(runs)
ADD_JOB = insert(jobs)
ADD_SHARD = insert(shards)
ADD_BATCH = insert(batches)
ADD_EVENT = insert(events)

RUN_BY_ID = select(runs).where(runs.c.id == bindparam("wanted"))
JOB_BY_ID = select(jobs).where(jobs.c.id == bindparam("wanted"))
JOBS_OF_RUN = (
    select(jobs).where(jobs.c.run_id == bindparam("wanted")).order_by(jobs.c.round, jobs.c.created_at, jobs.c.id)
)
SHARD_BY_ID = select(shards).where(shards.c.id == bindparam("wanted"))
SHARDS_OF_JOB = select(shards).where(shards.c.job_id == bindparam("wanted")).order_by(shards.c.number, shards.c.attempt)

# The batches that stand for a shard attempt: not those that proved another's, nor those that a full queue turned away.
_STANDS = batches.c.standing.in_(("confirmed", "unconfirmed", "gone"))
BATCH_OF_SHARD = select(batches).where(batches.c.shard_id == bindparam("wanted"), _STANDS)
BATCHES_OF_JOB = (
    select(batches)
    .join(shards, batches.c.shard_id == shards.c.id)
    .where(shards.c.job_id == bindparam("wanted"), _STANDS)
)


def _run_lines() -> Select[tuple[object, ...]]:
    """A line for each of the newest runs: its targets are read apart; its rows and shards are summed here."""
    newest = select(runs.c.id).order_by(runs.c.created_at.desc(), runs.c.id).limit(bindparam("most")).subquery("newest")
    of_jobs = (
        select(
            jobs.c.run_id,
            func.count().label("jobs"),
            func.sum(jobs.c.rows).label("rows"),
            func.min(jobs.c.provider).label("provider"),
            func.min(jobs.c.model).label("model"),
            func.sum(case((jobs.c.ended_at.is_not(None), 1), else_=0)).label("jobs_ended"),
        )
        .where(jobs.c.run_id.in_(select(newest.c.id)))
        .group_by(jobs.c.run_id)
        .subquery("of_jobs")
    )
    closed = or_(
        shards.c.state == "collected",
        and_(shards.c.state == "failed", or_(shards.c.answers.is_not(None), shards.c.attempt > 1)),
    )
    of_shards = (
        select(
            jobs.c.run_id,
            func.count().label("shards"),
            func.sum(case((closed, 1), else_=0)).label("shards_closed"),
            func.sum(case((shards.c.state == "intended", 1), else_=0)).label("in_doubt"),
        )
        .join(jobs, shards.c.job_id == jobs.c.id)
        .where(jobs.c.run_id.in_(select(newest.c.id)))
        .group_by(jobs.c.run_id)
        .subquery("of_shards")
    )
    return (
        select(
            runs.c.id,
            runs.c.kind,
            runs.c.source,
            runs.c.emulated,
            runs.c.created_at,
            runs.c.ended_at,
            runs.c.output,
            of_jobs.c.jobs,
            of_jobs.c.rows,
            of_jobs.c.provider,
            of_jobs.c.model,
            of_jobs.c.jobs_ended,
            of_shards.c.shards,
            of_shards.c.shards_closed,
            of_shards.c.in_doubt,
        )
        .join(newest, newest.c.id == runs.c.id)
        .join(of_jobs, of_jobs.c.run_id == runs.c.id)
        .join(of_shards, of_shards.c.run_id == runs.c.id)
        .order_by(runs.c.created_at.desc(), runs.c.id)
    )


RUN_LINES = _run_lines()

# Gemini's ids are given with and without `batches/`, so both spellings are bound.
JOB_BY_BATCH = (
    select(jobs)
    .join(shards, shards.c.job_id == jobs.c.id)
    .join(batches, batches.c.shard_id == shards.c.id)
    .where(
        batches.c.provider == bindparam("provider"),
        or_(batches.c.id == bindparam("wanted"), batches.c.id == bindparam("other_spelling")),
        batches.c.emulated == bindparam("emulated"),
        batches.c.standing != "released",
    )
)

# Which of a provider's batches are ours, for lists.
JOBS_OF_BATCHES = (
    select(batches.c.id, shards.c.job_id)
    .join(shards, batches.c.shard_id == shards.c.id)
    .where(batches.c.standing != "released")
    .where(batches.c.provider == bindparam("provider"), batches.c.emulated == bindparam("emulated"))
)
# Batches that a shard's cannot be: those that are proved another's, and those that this shard has released.
KNOWN_BATCHES = select(batches.c.id).where(
    batches.c.provider == bindparam("provider"),
    batches.c.emulated == bindparam("emulated"),
    or_(
        batches.c.standing == "confirmed",
        batches.c.standing == "turned-away",
        batches.c.shard_id == bindparam("shard"),
    ),
)
BATCHES_ON_ACCOUNT = (
    select(batches.c.id)
    .join(shards, batches.c.shard_id == shards.c.id)
    .where(
        batches.c.provider == bindparam("provider"),
        shards.c.account == bindparam("account"),
        batches.c.emulated == bindparam("emulated"),
        batches.c.standing == "confirmed",
    )
    .order_by(batches.c.created_at.desc())
    .limit(20)
)
ENDED_BATCHES = (
    select(batches.c.created_at, batches.c.ended_at)
    .join(shards, batches.c.shard_id == shards.c.id)
    .join(jobs, shards.c.job_id == jobs.c.id)
    .where(
        batches.c.provider == bindparam("provider"),
        jobs.c.model == bindparam("model"),
        batches.c.emulated == bindparam("emulated"),
        batches.c.state == "succeeded",
        batches.c.created_at.is_not(None),
        batches.c.ended_at.is_not(None),
    )
    .order_by(batches.c.ended_at.desc())
    .limit(1000)
)

# A batch that a shard holds without proof, and what becomes of that shard when the proof speaks for another.
UNCONFIRMED = select(batches).where(
    batches.c.provider == bindparam("of_provider"),
    batches.c.id == bindparam("wanted"),
    batches.c.emulated == bindparam("is_emulated"),
    batches.c.standing == "unconfirmed",
)
HELD_WITHOUT_PROOF = select(batches.c.id).where(
    batches.c.provider == bindparam("provider"),
    batches.c.emulated == bindparam("emulated"),
    batches.c.standing == "unconfirmed",
)
LOOK_AGAIN = (
    update(shards)
    .where(shards.c.id == bindparam("wanted"), shards.c.state == "submitted")
    .values(state="intended", batch_id=None)
)

# A batch that one shard has released may prove to be another's.
FORGET_RELEASED = delete(batches).where(
    batches.c.provider == bindparam("of_provider"),
    batches.c.id == bindparam("wanted"),
    batches.c.emulated == bindparam("is_emulated"),
    batches.c.standing == "released",
)

# Compare-and-set: a shard moves on only from the state and under the fence that its owner last saw.
MOVE_SHARD = update(shards).where(
    shards.c.id == bindparam("wanted"),
    shards.c.state == bindparam("from_state"),
    shards.c.fence == bindparam("held_fence"),
)

CHANGE_SHARD = update(shards).where(shards.c.id == bindparam("wanted"))
CHANGE_BATCH = update(batches).where(
    batches.c.provider == bindparam("of_provider"),
    batches.c.id == bindparam("wanted"),
    batches.c.emulated == bindparam("is_emulated"),
)
CHANGE_JOB = update(jobs).where(jobs.c.id == bindparam("wanted"))
CHANGE_RUN = update(runs).where(runs.c.id == bindparam("wanted"))

EVENTS_OF_JOB = (
    select(events)
    .where(
        or_(
            events.c.job_id == bindparam("wanted"),
            and_(
                events.c.job_id.is_(None),
                events.c.shard_id.in_(select(shards.c.id).where(shards.c.job_id == bindparam("wanted"))),
            ),
        )
    )
    .order_by(events.c.id)
)
EVENTS_OF_KIND = select(events).where(events.c.job_id == bindparam("wanted"), events.c.kind == bindparam("kind"))

# Of a kind of which only the last counts.
FORGET_EVENTS = delete(events).where(events.c.job_id == bindparam("wanted"), events.c.kind == bindparam("kind"))
JOBS_WITH_EVENT = (
    select(events.c.job_id)
    .join(jobs, jobs.c.id == events.c.job_id)
    .where(jobs.c.run_id == bindparam("wanted"), events.c.kind == bindparam("kind"))
    .distinct()
)

_JOBS = select(jobs.c.id).where(jobs.c.run_id == bindparam("wanted"))
_SHARDS = select(shards.c.id).where(shards.c.job_id.in_(_JOBS))
# Children first, so that no reference is left dangling.
FORGET_RUN = (
    delete(events).where(or_(events.c.job_id.in_(_JOBS), events.c.shard_id.in_(_SHARDS))),
    delete(batches).where(batches.c.shard_id.in_(_SHARDS)),
    delete(shards).where(shards.c.job_id.in_(_JOBS)),
    delete(jobs).where(jobs.c.run_id == bindparam("wanted")),
    delete(runs).where(runs.c.id == bindparam("wanted")),
)
