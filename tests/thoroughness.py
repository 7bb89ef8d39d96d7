"""The number of examples that property-based tests try: few in `make test`, all in `make thorough`."""

import os

THOROUGH = os.environ.get("THOROUGH") == "1"  # noqa: TID251


def scaled(count: int) -> int:
    """Return `count` for a thorough run, else a fifth of it."""
    return count if THOROUGH else max(1, count // 5)
