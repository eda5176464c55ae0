"""The library's face and its use cases: what commands call, and what other programs may call.

The durable entry points (`run`, `resume`) will join these names; until then programs use the modules below directly.
"""
