"""How many examples the tests that search at random try: few in `make test`, all in `make thorough`."""

import os

THOROUGH = os.environ.get("THOROUGH") == "1"  # noqa: TID251


def scaled(count: int) -> int:
    """Return `count` for a thorough run, else a fifth of it."""
    return count if THOROUGH else max(1, count // 5)
