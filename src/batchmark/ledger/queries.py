"""The ledger's statements by name. Each is built once; values are bound at the call."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, or_, select, update

from batchmark.ledger.tables import batches, events, jobs, runs, shards

__all__ = [
    "ADD_BATCH",
    "ADD_EVENT",
    "ADD_JOB",
    "ADD_RUN",
    "ADD_SHARD",
    "BATCH_OF_SHARD",
    "END_JOB",
    "END_RUN",
    "FORGET_RELEASED",
    "HELD_WITHOUT_PROOF",
    "JOBS_OF_RUN",
    "JOB_BY_BATCH",
    "JOB_BY_ID",
    "KNOWN_BATCHES",
    "LABELS_OF_BATCHES",
    "LOOK_AGAIN",
    "MOVE_SHARD",
    "RUN_BY_ID",
    "SHARDS_OF_JOB",
    "UNCONFIRMED",
    "UPDATE_BATCH",
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
SHARDS_OF_JOB = select(shards).where(shards.c.job_id == bindparam("wanted")).order_by(shards.c.number, shards.c.attempt)
BATCH_OF_SHARD = select(batches).where(batches.c.shard_id == bindparam("wanted"), batches.c.standing != "released")

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
LABELS_OF_BATCHES = (
    select(batches.c.id, shards.c.job_id)
    .join(shards, batches.c.shard_id == shards.c.id)
    .where(batches.c.standing != "released")
    .where(batches.c.provider == bindparam("provider"), batches.c.emulated == bindparam("emulated"))
)
# Batches that a shard's cannot be: those that are proved another's, and those that this shard has released.
KNOWN_BATCHES = select(batches.c.id).where(
    batches.c.provider == bindparam("provider"),
    batches.c.emulated == bindparam("emulated"),
    or_(batches.c.standing == "confirmed", batches.c.shard_id == bindparam("shard")),
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

UPDATE_BATCH = update(batches).where(
    batches.c.provider == bindparam("of_provider"),
    batches.c.id == bindparam("wanted"),
    batches.c.emulated == bindparam("is_emulated"),
)

END_JOB = update(jobs).where(jobs.c.id == bindparam("wanted"))
END_RUN = update(runs).where(runs.c.id == bindparam("wanted"))
