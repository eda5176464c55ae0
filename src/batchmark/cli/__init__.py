"""argv in, exit code out. The only place that prints."""
