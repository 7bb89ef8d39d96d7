"""Example flows: plain functions. `print` writes to the run's log; the return value is the run's result."""

import random


def report(region: str, days: int = 1, currency: str = "EUR") -> dict[str, object]:
    """Add up invented sales of a region."""
    rng = random.Random(f"{region}-{days}")
    total = sum(rng.randint(900, 1100) for _ in range(days))
    print(f"{region}: {total} {currency} in {days} days")
    return {"region": region, "days": days, "total": total, "currency": currency}


async def heartbeat() -> str:
    """Show that a flow can be async."""
    print("still here")
    return "ok"


def flaky_import(path: str) -> int:
    """Fail if the file does not exist, to show what a failed run looks like."""
    print(f"opening {path}")
    with open(path) as stream:
        return len(stream.readlines())
