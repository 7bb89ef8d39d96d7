"""Problems that upstream deployments cause are listed once, and say which deployments they are."""

from dataclasses import replace

import pytest

from controller.model.findings import Finding
from controller.model.gates import Gate, GateState
from controller.model.runs import RunState, Trigger
from controller.model.status import ConditionType
from controller.model.triggers import UpstreamOutcome
from controller.queries.attention import find_attention
from controller.queries.deployments import list_deployments
from controller.store import Store, gates, inventory, last_runs, runs, source_status
from tests.conftest import NOW
from tests.unit.queries.test_views import HOUR, condition, entry, run, source


@pytest.mark.parametrize("is_any", [False, True])
def test_a_late_run_says_which_deployments_it_waits_for(store: Store, is_any: bool) -> None:
    hourly = [{"cron": "0 * * * *", "timezone": "UTC"}]
    late = replace(run(1, "a", RunState.PENDING), trigger=Trigger.SCHEDULE, scheduled_for=NOW - HOUR)
    late = replace(late, created_at=NOW - HOUR)
    opened = Gate(
        run_id=late.id,
        upstream="b",
        condition=UpstreamOutcome.SUCCEEDED,
        due_time=NOW - HOUR,
        since=None,
        until=NOW + HOUR,
        state=GateState.WAITING if is_any else GateState.OPEN,
        is_enough=is_any,
    )
    waiting = replace(opened, upstream="c", due_time=None, state=GateState.WAITING)
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry("a", schedules=hourly)])
        runs.insert_all(tx, [late])
        gates.insert_all(tx, [opened, waiting])
    with store.read() as tx:
        [view] = list_deployments(tx, NOW)
        [item] = find_attention(source(), [view])
        assert last_runs.find_many(tx, [late.id]) == [last_runs.find(tx, "a")]
    text = "b (due 2026-06-01 11:00:00 UTC) or a run of c" if is_any else "a run of c"
    assert view.last_run is not None
    assert (view.state, view.last_run.waits_for) == ("late", text)
    assert item.message == f"It waits for {text}."


@pytest.mark.parametrize("codes", [["UnknownUpstream"], ["UnknownUpstream", "WrongType"]])
def test_a_missing_upstream_deployment_is_one_problem_unless_there_are_other_errors(
    store: Store, codes: list[str]
) -> None:
    stalled = replace(condition(True, "UpstreamMissing"), type=ConditionType.STALLED)
    invalid = replace(entry("a"), conditions=(condition(False, "InvalidManifest"), stalled))
    findings = tuple(
        Finding(code=code, message="bad", file="deployments/a.yaml", line=3, column=1, deployment="a") for code in codes
    )
    with store.write() as tx:
        source_status.save(tx, source(findings=findings))
        inventory.save(tx, [invalid])
    with store.read() as tx:
        problems = list(find_attention(source(findings=findings), list_deployments(tx, NOW)))
    others = ["invalid_deployment"] if len(codes) > 1 else []
    assert [item.code for item in problems] == [*others, "no_upstream"]
