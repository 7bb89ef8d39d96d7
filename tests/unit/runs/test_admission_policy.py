"""Which due times run under each policy: catch-up first, then the start deadline, then the overlap."""

from datetime import timedelta

import pytest

from controller.manifests.build import build_deployment
from controller.model.queues import ActiveRuns
from controller.runs.admission_policy import decide, start_by
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)
IDLE, BUSY = ActiveRuns(), ActiveRuns(active=1)


def decisions(
    said: dict[str, object], *ages: timedelta, standing: ActiveRuns = IDLE
) -> list[tuple[str | None, bool | None]]:
    """The reason of each due time that is so old, and whether its run is serial."""
    document = {"name": "a", "command": ["true"], "schedules": [{"id": "x", "interval": "1m"}], **said}
    deployment = build_deployment(document, "a.yaml", 1)
    times = [(NOW - age, deployment.schedules[0]) for age in ages]
    found = decide(times, deployment, NOW, standing)
    return [(one.reason, one.serial if one.reason is None else None) for one in found]


RUN, SERIAL = (None, False), (None, True)
MISSED, OVERLAP, LATE = ("catch-up", None), ("overlap", None), ("deadline", None)
LATEST, ALL, NONE = ({"catchup": {"policy": word}} for word in ("latest", "all", "none"))
QUEUE, REPLACE, ALLOW = ({"overlap": word} for word in ("queue", "replace", "allow"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (LATEST, [MISSED, MISSED, SERIAL]),
        (ALL, [SERIAL, SERIAL, SERIAL]),
        (NONE, [MISSED, MISSED, MISSED]),
        ({"catchup": {"policy": "all", "max": 2}}, [MISSED, SERIAL, SERIAL]),
        ({"catchup": {"policy": "all", "window": "12m"}}, [MISSED, SERIAL, SERIAL]),
        ({"catchup": {"window": "4m"}}, [MISSED, MISSED, MISSED]),
        ({**ALL, **QUEUE}, [SERIAL, SERIAL, SERIAL]),
        ({**ALL, **ALLOW}, [RUN, RUN, RUN]),
        ({**ALL, **REPLACE}, [OVERLAP, OVERLAP, SERIAL]),
        (QUEUE, [MISSED, MISSED, SERIAL]),
        (ALLOW, [MISSED, MISSED, RUN]),
    ],
)
def test_missed_due_times_follow_the_catch_up_policy(said: dict[str, object], expected: list[object]) -> None:
    assert decisions(said, 15 * MINUTE, 10 * MINUTE, 5 * MINUTE) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (LATEST, [MISSED, SERIAL]),
        (NONE, [MISSED, SERIAL]),
        (QUEUE, [SERIAL, SERIAL]),
        (ALLOW, [RUN, RUN]),
        ({**NONE, **ALLOW}, [RUN, RUN]),
        (REPLACE, [MISSED, SERIAL]),
    ],
)
def test_due_times_within_one_admission_are_not_missed(said: dict[str, object], expected: list[object]) -> None:
    assert decisions(said, timedelta(seconds=20), timedelta(seconds=5)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [(LATEST, [OVERLAP]), (ALL, [OVERLAP]), (QUEUE, [SERIAL]), (REPLACE, [SERIAL]), (ALLOW, [RUN])],
)
def test_the_overlap_policy_applies_while_another_run_is_in_progress(
    said: dict[str, object], expected: list[object]
) -> None:
    assert decisions(said, MINUTE, standing=BUSY) == expected


def test_no_more_runs_are_queued_than_catch_up_allows() -> None:
    said: dict[str, object] = {"overlap": "queue", "catchup": {"policy": "all", "max": 3}}
    assert decisions(said, 2 * MINUTE, MINUTE, standing=ActiveRuns(active=3, waiting=2)) == [SERIAL, OVERLAP]


@pytest.mark.parametrize(("deadline", "expected"), [("5m", SERIAL), ("4m59s", LATE)])
def test_a_due_time_past_its_start_deadline_is_skipped(deadline: str, expected: object) -> None:
    assert decisions({"start_deadline": deadline}, 5 * MINUTE) == [expected]


def test_the_start_deadline_counts_from_the_start_time_with_jitter() -> None:
    document = {
        "name": "a",
        "command": ["true"],
        "start_deadline": "1m",
        "schedules": [{"id": "x", "interval": "1h", "jitter": "30m"}],
    }
    deployment = build_deployment(document, "a.yaml", 1)
    [found] = decide([(NOW - 2 * MINUTE, deployment.schedules[0])], deployment, NOW, IDLE)
    assert found.reason is None
    assert found.delay > MINUTE
    assert start_by(found, deployment) == NOW - 2 * MINUTE + found.delay + MINUTE


def limited(policy: str, limit: int = 3) -> dict[str, object]:
    return {"overlap": {"policy": policy, "limit": limit}}


@pytest.mark.parametrize(
    ("said", "active", "expected"),
    [
        (limited("skip"), 2, [SERIAL]),
        (limited("skip"), 3, [OVERLAP]),
        ({**limited("skip"), **ALL}, 2, [SERIAL]),
        (limited("queue"), 3, [SERIAL]),
        (limited("replace"), 3, [SERIAL]),
    ],
)
def test_the_overlap_policy_applies_when_as_many_runs_as_its_limit_are_in_progress(
    said: dict[str, object], active: int, expected: list[object]
) -> None:
    assert decisions(said, MINUTE, standing=ActiveRuns(active=active)) == expected


@pytest.mark.parametrize(
    ("said", "active", "expected"),
    [
        (limited("skip"), 1, [SERIAL, SERIAL, OVERLAP]),
        (limited("skip", 1), 0, [MISSED, MISSED, SERIAL]),
        (limited("replace", 2), 2, [OVERLAP, SERIAL, SERIAL]),
        (limited("queue"), 3, [SERIAL, SERIAL, SERIAL]),
    ],
)
def test_due_times_of_one_admission_share_the_limit(
    said: dict[str, object], active: int, expected: list[object]
) -> None:
    seconds = [timedelta(seconds=age) for age in (25, 15, 5)]
    assert decisions(said, *seconds, standing=ActiveRuns(active=active)) == expected
