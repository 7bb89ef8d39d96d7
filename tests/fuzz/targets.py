"""The functions that fuzzing calls with arbitrary bytes, and the properties that must hold for all of them.

`run` feeds these through atheris, and the tests replay the committed corpus through them without it. Each returns
nothing, and raises when something is wrong: any exception but the one that is documented is a bug.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from controller.errors import ScheduleError
from controller.manifests.reader import ManifestReader
from controller.model.findings import Severity
from controller.model.schedules import At, Cron, Interval, RRule, Rule, Schedule
from controller.model.snapshots import ManifestFile
from controller.schedules import (
    check_schedule,
    describe,
    describe_transition,
    find_dst_transitions,
    fire_times,
    next_fire_times,
    parse_duration,
    parse_time,
)

NOW = datetime(2026, 5, 5, 10, tzinfo=UTC)
YEAR = timedelta(days=365)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")


def read_manifest(data: bytes) -> None:
    """The bytes of one manifest, as YAML and as JSON: documents or findings, never an exception."""
    for path in ("a.yaml", "a.json"):
        state = ManifestReader().read([ManifestFile(path=path, content=data, digest="1")], NOW)
        assert state.findings or state.deployments
        assert state.file_count == 1
        broken = any(finding.severity is Severity.ERROR for finding in state.findings)
        assert broken == (path in state.broken_files)
        for finding in state.findings:
            assert finding.file == path
            assert finding.line >= 1
            assert finding.column >= 1
            assert finding.code
            assert finding.message
        for deployment in state.deployments.values():
            _fires([*deployment.schedules])


def read_schedule(data: bytes) -> None:
    """A character that chooses the kind of rule and the zone (`0` is a cron in UTC), then the text of the rule.

    It fires, or it is refused with a hint.
    """
    zone, kind = divmod(data[0] - ord("0") if data else 0, len(_RULES))
    try:
        rule = _RULES[kind](data[1:].decode("utf-8", "replace"))
    except ScheduleError as error:
        _has_a_hint(error)
        return
    _fires([Schedule(id="x", rule=rule, timezone=ZONES[zone % len(ZONES)])])


def _fires(schedules: list[Schedule]) -> None:
    for schedule in schedules:
        said = describe(schedule)
        assert said
        assert said.isprintable()
        try:
            check_schedule(schedule, NOW)
        except ScheduleError as error:
            _has_a_hint(error)
            continue
        found = list(islice(fire_times(schedule, NOW), 5))
        assert all(earlier < later for earlier, later in pairwise([NOW, *found]))
        assert [instant for instant, _ in next_fire_times([schedule], NOW, 5)] == ([] if schedule.suspend else found)
        for change in find_dst_transitions(schedule, NOW, NOW + YEAR):
            assert describe_transition(change).isprintable()


def _has_a_hint(error: ScheduleError) -> None:
    assert error.message.isprintable()
    assert error.hint


def _interval(text: str) -> Rule:
    every, _, anchor = text.partition(" from ")
    return Interval(every=parse_duration(every), anchor=parse_time(anchor) if anchor else None)


_RULES: tuple[Callable[[str], Rule], ...] = (
    lambda text: Cron(expression=text),
    lambda text: Cron(expression=text, day_or=False),
    lambda text: RRule(text=text),
    _interval,
    lambda text: At(times=tuple(parse_time(part) for part in text.split(",")[:10])),
)
TARGETS: dict[str, Callable[[bytes], None]] = {"manifests": read_manifest, "schedules": read_schedule}
