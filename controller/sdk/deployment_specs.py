"""Deployments written in Python: `DeploymentSpec` and its schedules. Constructing a spec is declaring it.

`controller.python_specs` renders each `.py` file below the deployments path in a process of its own: it executes the
file, and what the file registered here becomes the same documents as in YAML, checked by the same code. This module
rejects only what cannot be written as JSON.
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
"""Of a whole number: some 4,200 digits. Python does not write out many more."""

registered: "list[DeploymentSpec]" = []
"""All specs of this process, in the order in which they were made."""


class IntervalSchedule:
    """Every `interval` (a timedelta, seconds, or a text like `15m`), counted from `anchor_date`."""

    def __init__(
        self,
        interval: datetime.timedelta | float | str,
        anchor_date: datetime.datetime | str | None = None,
        timezone: str | None = None,
        **more: Any,
    ) -> None:
        self.document = _without_none(interval=interval, anchor_date=anchor_date, timezone=timezone, **more)


class CronSchedule:
    """At the clock times of a crontab line."""

    def __init__(self, cron: str, timezone: str | None = None, day_or: bool | None = None, **more: Any) -> None:
        self.document = _without_none(cron=cron, timezone=timezone, day_or=day_or, **more)


class RRuleSchedule:
    """At the times of an RFC 5545 rule: a text, or what `str()` makes one of."""

    def __init__(self, rrule: Any, timezone: str | None = None, **more: Any) -> None:
        self.document = _without_none(rrule=str(rrule), timezone=timezone, **more)


Schedule = IntervalSchedule | CronSchedule | RRuleSchedule


class DeploymentSpec:
    """One deployment: what runs (`flow`, or `flow_location` and `flow_name`), with which parameters, and when.

    `flow` is a flow or function of a file of the repository, or the text `flows/etl.py:main`; `flow_location` is
    relative to the file that says it. Every other key of the YAML format can be given too.
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
            self.document.update(_said_by(flow, self.document))
        registered.append(self)

    def plain(self) -> dict[str, Any]:
        """The document as JSON has it. Raises TypeError for what JSON has not; it knows the line of the call."""
        try:
            return {key: plain(value, key) for key, value in self.document.items()}
        except RecursionError:
            error = TypeError("what it is given contains itself, or is nested too deeply to be written down")
        except TypeError as wrong:
            error = wrong
        vars(error)["places"] = self.places
        raise error


def _places(frame: types.FrameType | None) -> list[tuple[str, int]]:
    """The file and line of the call, and of the calls around it: a file may make its specs in a function."""
    found: list[tuple[str, int]] = []
    while frame is not None and len(found) < _MAX_FRAMES:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found


def _said_by(flow: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """Where a flow is: its file and its function. What the spec itself says goes first."""
    if isinstance(flow, str):
        return {"flow": flow}
    function = getattr(flow, "fn", flow)
    code = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(f"flow: expected a flow or a function, not {flow!r}")
    if function.__name__ == "<lambda>" and "flow_name" not in document:
        raise TypeError("flow: a lambda has no name to be found by: define it with def at the top of a file")
    found = {"flow_location": code.co_filename, "flow_name": function.__name__}
    return {**found, **{key: document[key] for key in found if key in document}}


def plain(value: Any, where: str) -> Any:
    """A value as JSON has it; dates, durations, paths, enumerations and tuples as YAML would write them."""
    if isinstance(value, str):
        return _text(value, where)
    if type(value) is int and value.bit_length() > _MAX_BITS:
        raise TypeError(f"{where}: a number of so many digits can't be written down")
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
    """The text, unless it is none that can be stored: half of a surrogate pair."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise TypeError(f"{where}: {value!r:.60} can't be written down: it holds half a character") from None
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
        f"{where}: {type(value).__name__} {value!r} can't be written down; use text, numbers, lists, mappings"
    )


def _without_none(**said: Any) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value is not None}
