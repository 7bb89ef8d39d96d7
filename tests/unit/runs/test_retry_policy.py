"""Whether and when another attempt follows: always the same for the same run."""

from datetime import timedelta

import pytest

from controller.model.policies import Retries, RetryOn
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.runs.retry_policy import delay, next_start
from tests.conftest import NOW

SECOND = timedelta(seconds=1)


def run(policy: Retries | None, attempt: int = 1, cancel_reason: str | None = None) -> Run:
    return Run(
        id=RunId("r"),
        deployment="a",
        state=RunState.RUNNING,
        trigger=Trigger.SCHEDULE,
        created_at=NOW,
        revision="x",
        file="a.yaml",
        spec_digest="sha256:1",
        attempt=attempt,
        attempts=1 + (policy.limit if policy else 0),
        retries=policy,
        cancel_reason=cancel_reason,
    )


def test_the_retry_delay_grows_up_to_its_limit() -> None:
    policy = Retries(limit=100, delay=10 * SECOND, backoff=3, max_delay=100 * SECOND, jitter=0)
    assert [delay(policy, "r", attempt) / SECOND for attempt in (1, 2, 3, 4, 100)] == [10, 30, 90, 100, 100]


def test_the_retry_jitter_spreads_delays_and_is_reproducible() -> None:
    policy = Retries(limit=1, delay=100 * SECOND, jitter=0.5)
    delays = [delay(policy, f"r{number}", 1) for number in range(200)]
    assert delays == [delay(policy, f"r{number}", 1) for number in range(200)]
    assert len(set(delays)) == 200
    assert 50 * SECOND <= min(delays) < 60 * SECOND
    assert 140 * SECOND < max(delays) <= 150 * SECOND


@pytest.mark.parametrize(
    ("state", "follows"),
    [
        (RunState.FAILED, True),
        (RunState.TIMED_OUT, True),
        (RunState.CRASHED, False),
        (RunState.CANCELLED, False),
        (RunState.SUCCEEDED, False),
    ],
)
def test_by_default_only_failures_and_timeouts_are_retried(state: RunState, follows: bool) -> None:
    assert (next_start(run(Retries(limit=1)), state, NOW) is not None) is follows


def test_a_crash_is_retried_if_it_is_configured() -> None:
    policy = Retries(limit=1, on=(RetryOn.CRASHED,), jitter=0)
    assert next_start(run(policy), RunState.CRASHED, NOW) == NOW + 30 * SECOND
    assert next_start(run(policy), RunState.FAILED, NOW) is None


def test_last_cancelled_and_unstarted_attempts_are_not_retried() -> None:
    policy = Retries(limit=2)
    assert next_start(run(policy, attempt=2), RunState.FAILED, NOW) is not None
    assert next_start(run(policy, attempt=3), RunState.FAILED, NOW) is None
    assert next_start(run(policy, cancel_reason="enough"), RunState.FAILED, NOW) is None
    assert next_start(run(policy, attempt=0), RunState.FAILED, NOW) is None
    assert next_start(run(None), RunState.FAILED, NOW) is None
