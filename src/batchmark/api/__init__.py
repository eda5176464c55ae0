"""The library's face and its use cases: what commands call, and what other programs may call.

`batchmark.run`, `resume` and `stream` are in `library`; the other modules hold the use cases that commands share.
"""
