"""What we know, durably: runs, jobs, shards, batches and events in a database, rows and answers in files beside it."""
