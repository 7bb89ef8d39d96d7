"""The schedules of a document as values, each asked of `schedule_fields` whether it can be understood and ever fires.

`build` calls `read_schedules`. What a schedule means stands in `schedule_fields`; here is only where each fault lies.
A fault in one key hides no fault in another.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from controller import schedules
from controller.errors import ScheduleError
from controller.manifests.canonical_json import canonical_json
from controller.manifests.dst_warnings import warn_of_clock_changes
from controller.manifests.schedule_warnings import warn_of_an_end, warn_of_oddities, warn_of_shadowed
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule

Parsed = TypeVar("Parsed")

LONGEST_JITTER = timedelta(days=1)
_RULES = ("cron", "interval", "rrule", "at")


def read_schedules(draft: ValidationContext, now: datetime | None) -> tuple[Schedule, ...]:
    """The sound schedules of the document; `now` None leaves out whether they fire after it."""
    found: list[Schedule] = []
    places: dict[str, Path] = {}
    taken: set[str] = set()
    for path, said in _declared(draft):
        sound = {key: value for key, value in said.items() if draft.clean((*path, key))}
        schedule = _schedule(draft, path, sound, now)
        name = sound.get("id") if schedule is None else schedule.id
        if name in taken:
            _duplicate(draft, path, said, name)
        elif schedule is not None:
            found.append(schedule)
            places[schedule.id] = path
            if now is not None:
                warn_of_oddities(draft, path, _rule_key(said), schedule)
                warn_of_clock_changes(draft, (*path, _rule_key(said)), schedule, sound.get("dst", {}), now)
        if name is not None:
            taken.add(name)
    if now is not None and len(found) > 1:
        warn_of_shadowed(draft, places, tuple(found), now)
    return tuple(found)


def read_duration(draft: ValidationContext, path: Path, said: Any) -> timedelta | None:
    """The positive duration at `path`; None after a problem."""
    length = _parsed(draft, path, "InvalidDuration", schedules.parse_duration, said)
    if length is not None and length <= timedelta(0):
        draft.add("InvalidDuration", "a duration must be longer than nothing", path)
        return None
    return length


def schedule_id(said: dict[str, Any]) -> str:
    """The id of a schedule that has none: the same as long as it fires at the same times with the same parameters."""
    meaning = {key: value for key, value in said.items() if key not in ("suspend", "jitter")}
    return hashlib.sha256(canonical_json(meaning)).hexdigest()[:8]


def _declared(draft: ValidationContext) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The mappings that stand where a schedule does, with their paths."""
    document = draft.value
    listed = document.get("schedules")
    if not isinstance(listed, list) or not draft.right(("schedules",)):
        listed = []  # too many to look at each
    candidates: list[tuple[Path, Any]] = [(("schedule",), document.get("schedule"))]
    candidates += [(("schedules", i), item) for i, item in enumerate(listed)]
    for path, said in candidates:
        if isinstance(said, dict):
            yield path, said


def _schedule(draft: ValidationContext, path: Path, said: dict[str, Any], now: datetime | None) -> Schedule | None:
    """The schedule at `path` by those of its keys that have no problem yet; None after any problem."""
    timezone = said.get("timezone", "UTC")
    zone = _parsed(draft, (*path, "timezone"), "InvalidTimezone", schedules.zone, timezone)
    rule = _rule(draft, path, said)
    start, end = (_time(draft, (*path, key), said.get(key)) for key in ("start", "end"))
    jitter = _jitter(draft, (*path, "jitter"), said.get("jitter"))
    if rule is None:
        return None
    place = (*path, _rule_key(said))
    if not draft.clean(path):
        if draft.clean(place):
            _is_alive(draft, place, Schedule(id="", rule=rule, timezone=zone.key if zone else "UTC"), now)
        return None
    dst = said.get("dst", {})
    schedule = Schedule(
        id=said.get("id") or schedule_id(said),
        rule=rule,
        timezone=timezone,
        dst=Dst(gap=Gap(dst.get("gap", "next_valid")), repeat=Repeat(dst.get("repeat", "first"))),
        start=start,
        end=end,
        jitter=jitter,
        suspend=said.get("suspend", False),
        parameters=said.get("parameters", {}),
    )
    if not _is_alive(draft, place, schedule, now) and draft.clean(place):
        warn_of_an_end(draft, path, _rule_key(said), schedule)
    return schedule if draft.clean(place) else None


def _is_alive(draft: ValidationContext, path: Path, schedule: Schedule, now: datetime | None) -> bool:
    """Whether it still fires, as far as `now` lets that be known; add an error if it never does."""
    try:
        return now is None or schedules.check_schedule(schedule, now)
    except ScheduleError as error:
        draft.add_error("InvalidSchedule", error, path)
        return False


def _rule_key(said: dict[str, Any]) -> str:
    return next(key for key in _RULES if key in said)


def _rule(draft: ValidationContext, path: Path, said: dict[str, Any]) -> Rule | None:
    anchor = _time(draft, (*path, "anchor_date"), said.get("anchor_date"))
    if "cron" in said:
        return Cron(expression=said["cron"], day_or=said.get("day_or", True))
    if "interval" in said:
        every = read_duration(draft, (*path, "interval"), said["interval"])
        return None if every is None else Interval(every=every, anchor=anchor)
    if "rrule" in said:
        return RRule(text=said["rrule"])
    return _at(draft, (*path, "at"), said["at"]) if "at" in said else None


def _at(draft: ValidationContext, path: Path, said: str | list[str]) -> At:
    if isinstance(said, str):
        places: list[tuple[Path, str]] = [(path, said)]
    else:
        places = [((*path, index), item) for index, item in enumerate(said)]
    times = [_time(draft, place, item) for place, item in places]
    return At(times=tuple(time for time in times if time is not None))


def _jitter(draft: ValidationContext, path: Path, said: Any) -> timedelta:
    length = None if said is None else read_duration(draft, path, said)
    if length is not None and length > LONGEST_JITTER:
        draft.add("InvalidDuration", "jitter is at most one day", path)
    return length or timedelta()


def _time(draft: ValidationContext, path: Path, said: str | None) -> datetime | None:
    return None if said is None else _parsed(draft, path, "InvalidTime", schedules.parse_time, said)


def _parsed(
    draft: ValidationContext, path: Path, code: str, parse: Callable[[Any], Parsed], said: Any
) -> Parsed | None:
    try:
        return parse(said)
    except ScheduleError as error:
        draft.add_error(code, error, path)
        return None


def _duplicate(draft: ValidationContext, path: Path, said: dict[str, Any], schedule_id: str) -> None:
    if "id" in said:
        draft.add("DuplicateScheduleId", f"the id {schedule_id} is taken by an earlier schedule", (*path, "id"))
        return
    message = "an earlier schedule says the same"
    draft.add("DuplicateScheduleId", message, path, hint="remove one of them, or give each an id")
