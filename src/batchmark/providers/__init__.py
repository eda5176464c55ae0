"""One folder per provider: `wire.py` is pure, `client.py` talks through the official SDK, `limits.py` is dated data.

No other part of batchmark knows a provider's name: they get providers from `registry` and see them through `seam`.
"""
