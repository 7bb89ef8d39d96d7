"""Which due times run under each policy: catch-up first, then the start deadline, then the overlap."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from controller.manifests.build import build_deployment
from controller.model.queues import ActiveRuns
from controller.runs.admission_policy import decide, start_by
from tests.conftest import NOW

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
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


def decided_at(now: datetime, schedule: Mapping[str, object], *times: datetime, **said: object) -> list[object]:
    """The reason of each due time, or how long after it the run may start."""
    calendars = {"party": {"dates": ["2026-06-01 Summer party"]}}
    document = {"name": "a", "command": ["true"], "calendars": calendars, "schedule": {"interval": "1h", **schedule}}
    deployment = build_deployment({**document, **said}, "a.yaml", 1)
    found = decide([(time, deployment.schedules[0]) for time in times], deployment, now, IDLE)
    return [one.delay if one.reason is None else one.reason for one in found]


def test_a_day_of_an_excluded_calendar_is_skipped_with_its_name() -> None:
    assert decided_at(NOW, {"except": "party"}, NOW) == ["calendar party: Summer party"]
    assert decided_at(NOW + DAY, {"except": ["party"]}, NOW, NOW + DAY) == [
        "calendar party: Summer party",
        timedelta(),
    ]
    assert decided_at(NOW, {"only": "party"}, NOW - DAY, NOW) == [
        "calendar party: 2026-05-31 is not one of its days",
        timedelta(),
    ]


def test_an_excluded_due_time_does_not_take_the_place_of_the_latest_missed_one() -> None:
    times = (NOW - DAY, NOW)
    said = {"catchup": {"policy": "latest", "window": "2d"}}
    assert decided_at(NOW, {"except": "party"}, *times, **said) == [timedelta(), "calendar party: Summer party"]


def test_a_due_time_outside_of_the_windows_waits_or_is_skipped() -> None:
    afternoon: dict[str, object] = {"windows": [{"days": "mon-fri", "from": "14:00", "to": "18:00"}]}
    assert decided_at(NOW, afternoon, NOW) == [timedelta(hours=2)]  # NOW is a Monday at 12:00
    skipped = decided_at(NOW, {**afternoon, "outside": "skip"}, NOW)
    assert skipped == ["window: outside mon-fri 14:00-18:00"]
    friday = NOW + timedelta(days=4, hours=6)
    assert decided_at(friday, afternoon, friday) == [timedelta(days=2, hours=20)]


def test_a_missed_due_time_does_not_start_outside_of_the_windows() -> None:
    morning: dict[str, object] = {"windows": [{"from": "08:00", "to": "12:00"}]}
    due, now = NOW - HOUR, NOW + 10 * MINUTE
    said = {"catchup": {"window": "2h"}}
    assert decided_at(now, morning, due, **said) == [timedelta(hours=21)]
    assert decided_at(now, {**morning, "outside": "skip"}, due, **said) == ["window: outside 08:00-12:00"]
    late = timedelta(seconds=5)  # the controller needs a moment to process a due time
    assert decided_at(NOW + late, morning, NOW - MINUTE + timedelta(seconds=50), **said) == [timedelta()]


def test_the_start_deadline_counts_from_the_opening_of_the_window() -> None:
    window: dict[str, object] = {"windows": [{"from": "14:00", "to": "18:00"}]}
    assert decided_at(NOW, window, NOW, start_deadline="5m") == [timedelta(hours=2)]
    assert decided_at(NOW + 3 * HOUR, window, NOW, start_deadline="5m", catchup={"window": "6h"}) == ["deadline"]
