"""How much the tests try: a fifth of all examples in `make test`, or what `make simulate` and `make kills` request."""

import os

THOROUGH = os.environ.get("THOROUGH") == "1"  # noqa: TID251


POSTGRESQL = os.environ.get("POSTGRESQL", "18")  # noqa: TID251
"""The version of the servers that tests start: 18 or 16."""


def scaled(count: int) -> int:
    """Return `count` for a thorough run, else a fifth of it."""
    return count if THOROUGH else max(1, count // 5)


def requested(variable: str, default: int) -> int:
    """Return the number in this environment variable, or the default."""
    return int(os.environ.get(variable, default))  # noqa: TID251
