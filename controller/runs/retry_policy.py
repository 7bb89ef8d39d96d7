"""Decides whether another attempt follows, and when. Pure: the same run gives the same result, also after a restart."""

import hashlib
from datetime import datetime, timedelta

from controller.model.policies import Retries, RetryOn
from controller.model.runs import Run, RunState

_ON = {RunState.FAILED: RetryOn.FAILED, RunState.TIMED_OUT: RetryOn.TIMED_OUT, RunState.CRASHED: RetryOn.CRASHED}


def next_start(run: Run, ended: RunState, now: datetime) -> datetime | None:
    """Return when the next attempt may start after the current one ended in state `ended`; None if none follows."""
    policy = run.retries
    if policy is None or not run.attempt or run.attempt >= run.attempts or run.cancel_reason is not None:
        return None
    if _ON.get(ended) not in policy.on:
        return None
    return now + delay(policy, run.id, run.attempt)


def delay(policy: Retries, run_id: str, attempt: int) -> timedelta:
    """Return the delay after this attempt: exponential, up to `max_delay`, with jitter from a hash of the run's id."""
    longest = policy.max_delay.total_seconds()
    # Late attempts have the longest delay anyway, and a larger power would overflow a float.
    factor = policy.backoff ** min(attempt - 1, 100)
    seconds = min(longest, policy.delay.total_seconds() * factor)
    spread = 2 * _fraction(run_id, attempt) - 1
    return timedelta(seconds=max(0.0, seconds * (1 + policy.jitter * spread)))


def _fraction(run_id: str, attempt: int) -> float:
    """Return a number in [0, 1) that is always the same for this attempt."""
    digest = hashlib.sha256(f"{run_id}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
