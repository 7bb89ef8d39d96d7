"""Parameters that refer to a value of the run, such as its due time, instead of a literal value, and their resolution.

A reference is a mapping such as `{from: due_time, format: date, shift: -1d, timezone: Europe/Berlin}`, as the value of
a parameter or anywhere inside of one. `build` and `reference_types` check references; `runs` resolves them when it
creates a run, so that a run is recorded with literal values only. `run_references` has those that are not times.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from controller.errors import ScheduleError
from controller.manifests.run_references import RunValues, describe_value, is_run_reference
from controller.manifests.run_references import sample_values as sample_run_values
from controller.manifests.yaml.nodes import Path
from controller.records import dataclass
from controller.schedules import shared_zone
from controller.schedules import zone as find_zone
from controller.schedules.messages import quote
from controller.sdk.messages import label
from controller.text import did_you_mean

DUE_TIME = "due_time"
FORMATS = ("datetime", "date", "time", "timestamp")
KEYS = ("from", "format", "shift", "timezone")
SCALARS = frozenset((str, int, float, bool, type(None)))
LISTS = (list, tuple)
MAPPINGS = (dict, Mapping)
"""For `isinstance`, which takes six times as long for `Mapping` alone."""
"""The types of the JSON values that contain no others. Most parameters are such values, and can't be references."""
_MAX_PATTERN = 100
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SAMPLE_TIME = datetime(2000, 12, 31, 22, 58, 59, tzinfo=UTC)  # midnight would also be accepted as a date
_SAMPLE_STEP = timedelta(days=1, hours=1, minutes=1, seconds=1)
_SAMPLES = 367
_DIRECTIVE = re.compile(r"%([aAbBdfGHIjmMpSuVwWyYzZ%])?")
"""The directives of strftime that Python documents for every platform. Names are English: LC_TIME is not set."""
_SHIFT = re.compile(
    r"([+-])(?=\d)(?:(\d{1,4})y)?(?:(\d{1,5})mo)?(?:(\d{1,6})w)?(?:(\d{1,6})d)?"
    r"(?:(\d{1,7})h)?(?:(\d{1,9})m)?(?:(\d{1,10})s)?",
    re.ASCII,
)
_SHIFT_HINT = "write a sign and units in descending order, such as -1d, +2h, -1mo or -1d12h (y, mo, w, d, h, m, s)"
_KEY_HINT = (
    "a reference has the keys from, format, shift and timezone; a literal mapping can't have from: due_time, so rename "
    "its key from, or write the mapping as a JSON string"
)
_FORMAT_HINT = 'write datetime, date, time, timestamp, or a pattern such as "%Y/%m/%d"'


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidReference:
    """A fault of a reference: `path` leads from the parameters to the invalid part."""

    path: Path
    message: str
    hint: str | None
    at_key: bool = False

    def __str__(self) -> str:
        """Return the message with the path: `days[0].shift: '1d' is not a shift`."""
        return f"{label(self.path)}: {self.message}"


def is_reference(value: Any) -> bool:
    """Return whether this value is meant as a reference: a mapping with `from: due_time`, `from: run.id` or similar."""
    return isinstance(value, MAPPINGS) and (value.get("from") == DUE_TIME or is_run_reference(value))


def is_valid(reference: Mapping[str, Any]) -> bool:
    """Return whether a reference has no faults."""
    return not any(_errors(reference, ()))


def has_references(value: Any) -> bool:
    """Return whether a reference occurs in this JSON value."""
    return next(_find(value, ()), None) is not None


def resolve(
    parameters: Mapping[str, Any],
    due_time: datetime,
    zones: Iterable[str],
    *,
    schedule: str | None = None,
    run: RunValues | None = None,
) -> dict[str, Any]:
    """Return the parameters with each valid reference replaced by its value.

    Args:
        parameters: JSON values, nested no deeper than a manifest may be.
        due_time: an aware datetime. For a run without a due time, the time at which it is created.
        zones: the time zones of the deployment's schedules. References that name no time zone use the only one, or UTC.
        schedule: the time zone of the schedule that fired or else of the deployment, which is used instead.
        run: the other values of the run. Without it, references to them stay as they are.
    """
    if not has_references(parameters):
        return dict(parameters)
    zone = find_zone(schedule) if schedule is not None else shared_zone(zones) or UTC

    def value_of(reference: Mapping[str, Any]) -> Any:
        if is_run_reference(reference):
            return reference if run is None else run.find(reference)
        return _value_of(reference, due_time, zone)

    return replace_references(parameters, value_of)


def resolve_sample(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an arbitrary run, to check the types of their values, without those of variables."""
    return resolve(parameters, _SAMPLE_TIME, (), run=sample_run_values())


def replace_references(parameters: Mapping[str, Any], value_of: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """Return the parameters with each reference replaced by `value_of` it, if it is valid."""
    return {name: _replace(value, value_of) for name, value in parameters.items()}


def find_references(parameters: Mapping[str, Any]) -> dict[Path, Mapping[str, Any]]:
    """Return the references in these parameters by their path."""
    return dict(_find_in(parameters))


def sample_values(reference: Mapping[str, Any]) -> list[str | int]:
    """Return different values that a valid reference gives, which is not to an environment variable.

    Together, they contain every value that `%m`, `%d`, `%H`, `%M`, `%S`, `%j`, a name or any other directive can give,
    but only two years.
    """
    if is_run_reference(reference):
        return [sample_run_values().find(reference)]
    moments = (_SAMPLE_TIME + index * _SAMPLE_STEP for index in range(_SAMPLES))
    return list(dict.fromkeys(_value_of(reference, moment, UTC) for moment in moments))


def parameter_places(document: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the parameters of a document and of its schedules, with the path of the mapping that contains them."""
    schedules = document.get("schedules")
    owners: list[tuple[Path, Any]] = [((), document)]
    if "schedule" in document:
        owners.append((("schedule",), document["schedule"]))
    if schedules and isinstance(schedules, list):
        owners += [(("schedules", index), item) for index, item in enumerate(schedules)]
    for path, owner in owners:
        parameters = owner.get("parameters") if isinstance(owner, MAPPINGS) else None
        if isinstance(parameters, MAPPINGS):
            yield path, parameters


def may_refer(parameters: Mapping[str, Any]) -> bool:
    """Return whether these parameters can contain references. Most are scalars and lists of scalars, which can't."""
    return "from" in parameters or any(
        _has_mapping(value) for value in parameters.values() if value.__class__ not in SCALARS
    )


def _has_mapping(value: Any) -> bool:
    if isinstance(value, LISTS):  # checked first: whether a list is a Mapping takes long to find out
        return any(_has_mapping(item) for item in value if item.__class__ not in SCALARS)
    return isinstance(value, MAPPINGS)


def find_errors(parameters: Mapping[str, Any]) -> Iterator[InvalidReference]:
    """Yield the faults of all references in these parameters."""
    for path, reference in _find_in(parameters):
        yield from _errors(reference, path)


def _find_in(parameters: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the references in the values of these parameters, one of which may have the name `from`."""
    for name, value in parameters.items():
        if value.__class__ not in SCALARS:
            yield from _find(value, (name,))


def _find(value: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if isinstance(value, MAPPINGS):
        if is_reference(value):
            yield path, value
            return
        for key, item in value.items():
            if item.__class__ not in SCALARS:
                yield from _find(item, (*path, key))
    elif isinstance(value, LISTS):
        for index, item in enumerate(value):
            if item.__class__ not in SCALARS:
                yield from _find(item, (*path, index))


def _errors(reference: Mapping[str, Any], path: Path) -> Iterator[InvalidReference]:
    if is_run_reference(reference):
        yield from _errors_of_run(reference, path)
        return
    yield from _unknown_keys(reference, path)
    shift, layout, name = (reference.get(key) for key in ("shift", "format", "timezone"))
    if isinstance(shift, str) and _SHIFT.fullmatch(shift) and _shift(_SAMPLE_TIME, shift, UTC) in (_FIRST, _LAST):
        hint = "the years 1 to 9999 limit a shift"
        yield InvalidReference(path=(*path, "shift"), message=f"{quote(shift)} is too long for a shift", hint=hint)
    elif "shift" in reference and (not isinstance(shift, str) or _SHIFT.fullmatch(shift) is None):
        is_unsigned = isinstance(shift, str) and _SHIFT.fullmatch(f"-{shift}") is not None
        hint = f"write -{shift} for an earlier time, or +{shift} for a later one" if is_unsigned else _SHIFT_HINT
        yield InvalidReference(path=(*path, "shift"), message=f"{quote(shift)} is not a shift", hint=hint)
    if "format" in reference and not _is_format(layout):
        near = did_you_mean(layout, FORMATS) if isinstance(layout, str) else None
        message = f"{quote(layout)} is not a format"
        yield InvalidReference(path=(*path, "format"), message=message, hint=near or _FORMAT_HINT)
    if "timezone" in reference:
        try:
            find_zone(name if isinstance(name, str) else str(name))
        except ScheduleError as error:
            yield InvalidReference(path=(*path, "timezone"), message=error.message, hint=error.hint)


def _errors_of_run(reference: Mapping[str, Any], path: Path) -> Iterator[InvalidReference]:
    for key in reference:
        if key != "from":
            message = f"a reference to {describe_value(reference)} has no key {quote(key)}"
            hint = f"write {{from: {reference['from']}}}: it has only the key from"
            yield InvalidReference(path=(*path, key), message=message, hint=hint, at_key=True)


def _unknown_keys(reference: Mapping[str, Any], path: Path) -> Iterator[InvalidReference]:
    for key in reference:
        if key not in KEYS:
            hint = did_you_mean(str(key), KEYS) or _KEY_HINT
            message = f"a reference to the due time has no key {quote(key)}"
            yield InvalidReference(path=(*path, key), message=message, hint=hint, at_key=True)


def _is_format(layout: Any) -> bool:
    if not isinstance(layout, str) or layout in FORMATS:
        return isinstance(layout, str)
    directives = _DIRECTIVE.findall(layout)
    return bool(directives) and all(directives) and len(layout) <= _MAX_PATTERN and layout.isprintable()


def _replace(value: Any, value_of: Callable[[Mapping[str, Any]], Any]) -> Any:
    if is_reference(value):
        return value_of(value) if is_valid(value) else value
    if isinstance(value, Mapping):
        return {key: _replace(item, value_of) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, value_of) for item in value]
    return value


def _value_of(reference: Mapping[str, Any], due_time: datetime, zone: tzinfo) -> str | int:
    if "timezone" in reference:
        zone = find_zone(reference["timezone"])
    moment = _shift(due_time, reference.get("shift", "+0s"), zone)
    match reference.get("format", "datetime"):
        case "datetime":
            return moment.isoformat()
        case "date":
            return moment.date().isoformat()
        case "time":
            return moment.time().isoformat()
        case "timestamp":
            return int(moment.timestamp())
        case pattern:
            return moment.strftime(pattern)


def _shift(due_time: datetime, shift: str, zone: tzinfo) -> datetime:
    """Return the shifted time in `zone`.

    Years, months, weeks and days move the local date and keep the clock time, also across a clock change; the last day
    of the month replaces a day that the month lacks. Hours, minutes and seconds are exact. The range of `datetime`
    limits the result.
    """
    match = _SHIFT.fullmatch(shift)
    sign = -1 if match and match[1] == "-" else 1
    years, months, weeks, days, hours, minutes, seconds = (
        sign * int(part or 0) for part in (match.groups()[1:] if match else ("0",) * 7)
    )
    try:
        moment = due_time
        if years or months or weeks or days:  # otherwise a repeated hour must stay the second one
            local = _add_months(due_time.astimezone(zone), 12 * years + months)
            moment = local + timedelta(weeks=weeks, days=days)
        exact = moment.astimezone(UTC) + timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return exact.astimezone(zone)
    except (OverflowError, ValueError):
        return _FIRST if sign < 0 else _LAST


def _add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
