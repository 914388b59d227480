"""The contenders' programs: each has a `run`, and imports only what it trains with."""
