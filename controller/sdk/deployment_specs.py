"""Deployments written in Python: `DeploymentSpec` and its schedules. Constructing a spec declares a deployment.

`controller.python_specs` renders each `.py` file below the deployments path in a process of its own: it executes the
file, and the specs that the file registered here become the same documents as in YAML, checked by the same code. This
module itself rejects only values that cannot be written as JSON.
"""

import datetime
import enum
import os
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_MAX_FRAMES = 50
_MAX_BITS = 14_000
"""The largest whole number, about 4,200 digits: Python refuses to convert much larger ones to text."""

registered: "list[DeploymentSpec]" = []
"""All specs of this process, in the order in which they were constructed."""


class IntervalSchedule:
    """A schedule that fires at a fixed interval, counted from `anchor_date`.

    `interval` is a timedelta, a number of seconds, or a string such as `15m`. Other keys of an interval schedule in
    YAML can be passed as keyword arguments.
    """

    def __init__(
        self,
        interval: datetime.timedelta | float | str,
        anchor_date: datetime.datetime | str | None = None,
        timezone: str | None = None,
        **more: Any,
    ) -> None:
        self.document = _without_none(interval=interval, anchor_date=anchor_date, timezone=timezone, **more)


class CronSchedule:
    """A schedule that fires at the times of a cron expression, such as `0 6 * * mon-fri`.

    Times are in `timezone`. `day_or=False` requires both day fields of the expression to match, instead of either.
    Other keys of a cron schedule in YAML can be passed as keyword arguments.
    """

    def __init__(self, cron: str, timezone: str | None = None, day_or: bool | None = None, **more: Any) -> None:
        self.document = _without_none(cron=cron, timezone=timezone, day_or=day_or, **more)


class RRuleSchedule:
    """A schedule that fires at the times of an RFC 5545 recurrence rule.

    `rrule` is a string, or an object that `str()` turns into one, such as a `dateutil.rrule`. Other keys of a
    recurrence rule in YAML can be passed as keyword arguments.
    """

    def __init__(self, rrule: Any, timezone: str | None = None, **more: Any) -> None:
        self.document = _without_none(rrule=str(rrule), timezone=timezone, **more)


Schedule = IntervalSchedule | CronSchedule | RRuleSchedule


class DeploymentSpec:
    """One deployment: the flow to run, its parameters and its schedule.

    The flow is given by `flow`, or by `flow_location` and `flow_name`. `flow` is a flow or function that is defined in
    a file of the repository, or a string such as `flows/etl.py:main`; `flow_location` is relative to the file with the
    spec. Every other key of the YAML format (docs/format.md) can be passed as a keyword argument: `DeploymentSpec(…,
    timeout="2h", overlap="skip")`. Raises TypeError if `flow` cannot be located.
    """

    def __init__(
        self,
        name: str | None = None,
        flow: Any = None,
        flow_name: str | None = None,
        flow_location: str | os.PathLike[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        schedule: Schedule | Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        **more: Any,
    ) -> None:
        self.places = _places(sys._getframe(1))
        self.document = _without_none(
            name=name,
            flow_name=flow_name,
            flow_location=flow_location,
            parameters=parameters,
            schedule=schedule,
            **more,
        )
        if tags is not None:
            self.document["tags"] = tags
        if flow is not None:
            self.document.update(_flow_keys(flow, self.document))
        registered.append(self)

    def plain(self) -> dict[str, Any]:
        """Return the document as JSON values.

        Raises TypeError for a value that JSON cannot represent; the error's attribute `places` has the files and lines
        of the call.
        """
        try:
            return {key: plain(value, key) for key, value in self.document.items()}
        except RecursionError:
            error = TypeError("a value contains itself, or is nested too deeply to be written as JSON")
        except TypeError as raised:
            error = raised
        vars(error)["places"] = self.places
        raise error


def _places(frame: types.FrameType | None) -> list[tuple[str, int]]:
    """Return the file and line of the call and of its callers, innermost first: a file may use a helper function."""
    places: list[tuple[str, int]] = []
    while frame is not None and len(places) < _MAX_FRAMES:
        places.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return places


def _flow_keys(flow: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that locate a flow: its file and function. Keys that the spec sets itself take precedence."""
    if isinstance(flow, str):
        return {"flow": flow}
    function = getattr(flow, "fn", flow)
    code = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(f"flow: expected a flow or a function, not {flow!r}")
    if function.__name__ == "<lambda>" and "flow_name" not in document:
        raise TypeError("flow: a lambda has no name, so it cannot be found again: define it with def at module level")
    keys = {"flow_location": code.co_filename, "flow_name": function.__name__}
    return {**keys, **{key: document[key] for key in keys if key in document}}


def plain(value: Any, where: str) -> Any:
    """Return a value as JSON; dates, durations, paths, enumerations and tuples become the values that YAML has.

    `where` is the path of the value, for errors. Raises TypeError for a value that JSON cannot represent.
    """
    if isinstance(value, str):
        return _text(value, where)
    if type(value) is int and value.bit_length() > _MAX_BITS:
        raise TypeError(f"{where}: the number can't be written as JSON: it has too many digits")
    if value is None or isinstance(value, bool) or type(value) in (int, float):
        return value
    if isinstance(value, IntervalSchedule | CronSchedule | RRuleSchedule):
        return plain(value.document, where)
    if isinstance(value, Mapping):
        return {_text(str(key), where): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, Sequence | Iterable) and not isinstance(value, bytes):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    return _scalar(value, where)


def _text(value: str, where: str) -> str:
    """Return the text. Raises TypeError if it contains a lone surrogate, which UTF-8 cannot encode."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise TypeError(f"{where}: {value!r:.60} can't be written as JSON: it contains a lone surrogate") from None
    return value


def _scalar(value: Any, where: str) -> Any:
    if isinstance(value, enum.Enum):
        return plain(value.value, where)
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(
        f"{where}: {type(value).__name__} {value!r} can't be written as JSON: use strings, numbers, lists or mappings"
    )


def _without_none(**keys: Any) -> dict[str, Any]:
    return {key.removesuffix("_"): value for key, value in keys.items() if value is not None}
