"""Lists declared deployments with their location and the descriptions of their schedules. `cli` calls it."""

from collections.abc import Iterator, Sequence

from controller.queries.declared_deployments import DeclaredSchedule, DeclaredView
from controller.schedules import zone
from controller.text import visible
from controller.time_format import format_time


def render(views: Sequence[DeclaredView]) -> str:
    """Return one line per deployment, schedule and trigger, with times in its time zone; no newline at the end."""
    return "\n".join(line for view in views for line in _lines(view))


def _lines(view: DeclaredView) -> Iterator[str]:
    yield f"{visible(view.file)}:{view.line}: {view.name}{' (suspended)' if view.suspended else ''}"
    for schedule in view.schedules:
        yield f"    {visible(schedule.text)}{_next(schedule, is_suspended=view.suspended or schedule.suspended)}"
    yield from (f"    {visible(trigger)}" for trigger in view.triggers)
    if not view.schedules and not view.triggers:
        yield "    no schedule"


def _next(schedule: DeclaredSchedule, *, is_suspended: bool) -> str:
    if schedule.next_fire_time is not None:
        return f"; next at {format_time(schedule.next_fire_time, zone(schedule.timezone))}"
    return "" if is_suspended else "; no more fire times"
