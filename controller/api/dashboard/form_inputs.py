"""Which HTML input the Quick run form shows for a parameter, and its initial value. Called by the templates."""

import re
from datetime import UTC, date, datetime, time

from controller.api.dashboard.template_filters import compact
from controller.queries.parameter_form import FormField
from controller.records import dataclass

_MAX_EXACT = 2**53
"""Browsers round larger whole numbers."""
_NUMBERS = {"integer": "1", "number": "any"}
_TEMPORAL = {"date": "date", "date-time": "datetime-local", "time": "time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormInput:
    """An `<input>` element. `zone` is `UTC` if `value` is a time in UTC, and empty if it has no time zone."""

    type: str = "text"
    value: str = ""
    step: str = ""
    zone: str = ""


def form_input(field: FormField) -> FormInput:
    """Return the input for a parameter of a scalar type: a text input if a native one can't show the declared value."""
    value = field.value if field.is_given and field.resolved is None else None
    text = "" if value is None else value if isinstance(value, str) else compact(value)
    if field.kind in _NUMBERS:
        return _number(field.kind, text)
    kind = _TEMPORAL.get(field.format or "")
    if kind is None:
        return FormInput(value=text)
    if not text:
        return FormInput(type=kind, step="1" if kind != "date" else "")
    return _temporal(kind, text) or FormInput(value=text)


def has_null_choice(field: FormField) -> bool:
    """Return whether null is allowed and different from an empty input."""
    return "None" in (field.type or "").split(" | ") and (field.is_given or field.default != "None")


def _number(kind: str, text: str) -> FormInput:
    is_exact = not text or (re.fullmatch(r"-?\d+(\.\d+)?", text) is not None and abs(float(text)) < _MAX_EXACT)
    return FormInput(type="number", value=text, step=_NUMBERS[kind]) if is_exact else FormInput(value=text)


def _temporal(kind: str, text: str) -> FormInput | None:
    """Return the native input for a date or time; None if the text is not one, or more exact than the input."""
    try:
        if kind == "date":
            return FormInput(type=kind, value=date.fromisoformat(text).isoformat())
        if kind == "time":
            clock = time.fromisoformat(text)
            is_exact = clock.tzinfo is None and not clock.microsecond
            return FormInput(type=kind, value=clock.isoformat(), step="1") if is_exact else None
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.microsecond:
        return None
    zone = "" if moment.tzinfo is None else "UTC"
    local = moment if moment.tzinfo is None else moment.astimezone(UTC)
    return FormInput(type=kind, value=local.replace(tzinfo=None).isoformat(), step="1", zone=zone)
