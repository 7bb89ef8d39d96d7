"""The runs in progress: running runs first, and waiting runs grouped by what they wait for."""

from dataclasses import replace
from datetime import timedelta

from controller.model.gates import Gate, GateState
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.model.triggers import UpstreamOutcome
from controller.queries.in_progress import find_in_progress
from controller.store import Store, gates, queues, runs
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES

pytestmark = BOTH_DATABASES

MINUTE = timedelta(minutes=1)


def run(number: int, deployment: str, state: RunState, **more: object) -> Run:
    pending = Run(
        id=RunId(f"0000-{number:04}"),
        deployment=deployment,
        state=state,
        trigger=Trigger.SCHEDULE,
        created_at=NOW,
        revision="r1",
        file="f",
        spec_digest="sha256:1",
    )
    return replace(pending, **more)  # type: ignore[arg-type]


def test_a_backlog_hides_no_running_run_and_is_one_row(store: Store) -> None:
    started = [
        run(number, f"r{number}", RunState.RUNNING, started_at=NOW - number * MINUTE, queue=queue)
        for number, queue in enumerate(["default", "heavy", "default"], 1)
    ]
    backlog = [run(100 + number, f"cube-{number:02}", RunState.PENDING, queue="heavy") for number in range(14)]
    jitter = [run(200 + n, f"j{n}", RunState.PENDING, not_before=NOW + n * MINUTE) for n in range(1, 31)]
    retry = run(300, "again", RunState.RETRYING, attempt=1, attempts=3, not_before=NOW + 5 * MINUTE)
    with store.write() as tx:
        queues.save_limits(tx, {"heavy": 1})
        runs.insert_all(tx, [*started, *backlog, *jitter, retry, run(301, "next", RunState.PENDING)])
    with store.read() as tx:
        view = find_in_progress(tx, NOW, 2)
    assert [entry.deployment for entry in view.running] == ["r3", "r2"]
    assert view.more_running == 1
    assert [(group.text, group.starts_at, len(group.runs)) for group in view.waiting] == [
        ("1 run waits for its next attempt", NOW + 5 * MINUTE, 0),
        ("1 run starts next", None, 1),
        ("30 runs wait for their start times", NOW + MINUTE, 0),
        ("queue heavy: 14 waiting, 1 of 1 taken by r2", None, 14),
    ]


def test_runs_that_wait_for_other_deployments_are_grouped_by_these(store: Store) -> None:
    waiting = [run(number, f"w{number}", RunState.PENDING, scheduled_for=NOW) for number in range(1, 6)]
    upstreams = {1: ["a"], 2: ["a"], 3: ["a", "b"], 4: ["b", "c", "d", "e"], 5: ["a"]}
    with store.write() as tx:
        runs.insert_all(tx, waiting)
        new = [
            Gate(
                run_id=run.id,
                upstream=name,
                condition=UpstreamOutcome.SUCCEEDED,
                due_time=NOW + number * MINUTE,
                since=None,
                until=NOW + 60 * MINUTE,
                is_enough=number == 3,
            )
            for number, run in enumerate(waiting, start=1)
            for name in upstreams[number]
        ]
        gates.insert_all(tx, new)
        gates.save_states(tx, [replace(new[-1], state=GateState.OPEN)])
    with store.read() as tx:
        groups = find_in_progress(tx, NOW, 10).waiting
    assert [(group.text, [each.deployment for each in group.runs]) for group in groups] == [
        ("1 run starts next", ["w5"]),
        ("2 runs wait for a", ["w1", "w2"]),
        ("1 run waits for a or b", ["w3"]),
        ("1 run waits for b, c, d and 1 more", ["w4"]),
    ]


def test_the_total_limit_names_some_of_the_running_deployments(store: Store) -> None:
    with store.write() as tx:
        queues.save_total_limit(tx, 5)
        runs.insert_all(tx, [run(number, f"r{number}", RunState.RUNNING, started_at=NOW) for number in range(5)])
        runs.insert_all(tx, [run(number, "w", RunState.PENDING) for number in (10, 11)])
    with store.read() as tx:
        [group] = find_in_progress(tx, NOW, 10).waiting
    assert group.text == "--max-running: 2 waiting, 5 of 5 taken by r0, r1, r2 and 2 more"
