"""A bulk retry selects the latest run of each due time and of each chain of retries."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from controller.model.runs import FAILURES, Run, RunId, RunState, Trigger
from controller.queries.run_selection import select_for_retry
from controller.store import Store, runs
from controller.store.run_search import RunFilter, select_all
from tests.conftest import NOW

SUCCEEDED, FAILED, CRASHED, CANCELLED, RUNNING = (
    RunState.SUCCEEDED,
    RunState.FAILED,
    RunState.CRASHED,
    RunState.CANCELLED,
    RunState.RUNNING,
)


def make(number: int, state: RunState, *, due: int | None = None, retry_of: int | None = None, of: str = "a") -> Run:
    return Run(
        id=RunId(f"r{number}"),
        deployment=of,
        state=state,
        trigger=Trigger.MANUAL if retry_of is None else Trigger.RETRY,
        created_at=NOW,
        revision="main@sha1:1",
        file="f",
        spec_digest="sha256:1",
        scheduled_for=None if due is None else NOW + due * timedelta(hours=1),
        retry_of=None if retry_of is None else RunId(f"r{retry_of}"),
    )


@pytest.mark.parametrize(
    ("history", "selected", "left_out"),
    [
        ([make(1, FAILED), make(2, SUCCEEDED), make(3, CRASHED)], ["r1", "r3"], {}),
        ([make(1, FAILED, due=1), make(2, FAILED, due=2)], ["r1", "r2"], {}),
        ([make(1, FAILED, due=1), make(2, FAILED, due=1, of="b")], ["r1", "r2"], {}),
        ([make(1, FAILED, due=1), make(2, SUCCEEDED, due=1)], [], {"r1": "a later run succeeded"}),
        ([make(1, FAILED, due=1), make(2, RUNNING, due=1)], [], {"r1": "a later run has not finished"}),
        ([make(1, FAILED, due=1), make(2, FAILED, due=1)], ["r2"], {"r1": "a later run is retried instead"}),
        ([make(1, FAILED, due=1), make(2, CANCELLED, due=1)], ["r1"], {}),
        ([make(1, FAILED, due=1), make(2, RunState.SKIPPED, due=1)], [], {"r1": "a later run ended as skipped"}),
        ([make(1, FAILED), make(2, SUCCEEDED, retry_of=1)], [], {"r1": "a later run succeeded"}),
        ([make(1, FAILED), make(2, CANCELLED, retry_of=1)], ["r1"], {}),
        (
            [make(1, FAILED), make(2, FAILED, retry_of=1), make(3, CRASHED, retry_of=2)],
            ["r3"],
            {"r1": "a later run is retried instead", "r2": "a later run is retried instead"},
        ),
        ([make(1, FAILED), make(2, FAILED, retry_of=1), make(3, RUNNING, retry_of=1)], [], {
            "r1": "a later run has not finished", "r2": "a later run has not finished",
        }),
    ],
)  # fmt: skip
def test_only_the_latest_run_of_a_due_time_or_a_chain_is_retried(
    store: Store, history: Sequence[Run], selected: list[str], left_out: dict[str, str]
) -> None:
    with store.write() as tx:
        runs.insert_all(tx, history)
    with store.read() as tx:
        selection = select_for_retry(tx, select_all(tx, RunFilter(states=FAILURES)))
    assert [run.id for run in selection.runs] == selected
    assert {run.run_id: run.reason for run in selection.left_out} == left_out


def test_a_cancelled_run_is_retried_if_the_filter_selects_it(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [make(1, FAILED, due=1), make(2, CANCELLED, due=1)])
    with store.read() as tx:
        selection = select_for_retry(tx, select_all(tx, RunFilter(states=[FAILED, CANCELLED])))
    assert [run.id for run in selection.runs] == ["r2"]
