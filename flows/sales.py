"""Example flows: plain functions. What is printed is the run's log, what is returned is its result."""

import random


def report(region: str, days: int = 1, currency: str = "EUR") -> dict[str, object]:
    """Add up invented sales."""
    rng = random.Random(f"{region}-{days}")
    total = sum(rng.randint(900, 1100) for _ in range(days))
    print(f"{region}: {total} {currency} in {days} days")
    return {"region": region, "days": days, "total": total, "currency": currency}


async def heartbeat() -> str:
    """A flow may be async."""
    print("still here")
    return "ok"


def flaky_import(path: str) -> int:
    """Fails on purpose, to show what a failure looks like."""
    print(f"opening {path}")
    with open(path) as stream:
        return len(stream.readlines())
