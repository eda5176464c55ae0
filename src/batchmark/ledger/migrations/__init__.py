"""How an older ledger becomes one of today's, a numbered step at a time. Only `ledger.schema` runs this, and only on an older ledger.

For a new step: change `tables.py`, write the next file in versions/ by hand, and add its number to `schema.REVISIONS`. A released step
is never changed and names nothing of `tables.py`, which moves on. On SQLite, add columns (at the end, with a server default where they
may not be null) and drop whole tables; to make a table anew would, with foreign keys on, delete what points to it.
"""
