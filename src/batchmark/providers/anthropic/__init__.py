"""Anthropic Message Batches: all requests travel inside the create call; the batch has no name and no metadata."""
