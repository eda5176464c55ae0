"""batchmark: run LLM workloads through any provider's Batch API, and compare providers honestly."""

__version__ = "0.1.0"
