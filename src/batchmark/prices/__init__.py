"""Dated prices: what a token costs at a provider's batch price, and where that figure comes from. `PriceBook` is asked for all of them."""
