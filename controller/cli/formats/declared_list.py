"""What is declared, for people: where, under which name, and each schedule in words. `cli` calls it."""

from collections.abc import Iterator, Sequence

from controller.cli.formats.printable import visible
from controller.queries.declared_deployments import DeclaredSchedule, DeclaredView
from controller.schedules import zone
from controller.time_format import shown


def render(views: Sequence[DeclaredView]) -> str:
    """One line for each deployment and each of its schedules, times in its time zone; no newline at the end."""
    return "\n".join(line for view in views for line in _lines(view))


def _lines(view: DeclaredView) -> Iterator[str]:
    yield f"{visible(view.file)}:{view.line}: {view.name}{' (suspended)' if view.suspended else ''}"
    for schedule in view.schedules:
        yield f"    {visible(schedule.text)}{_next(schedule, asleep=view.suspended or schedule.suspended)}"
    if not view.schedules:
        yield "    no schedule"


def _next(schedule: DeclaredSchedule, *, asleep: bool) -> str:
    if schedule.next_fire_time is not None:
        return f"; next at {shown(schedule.next_fire_time, zone(schedule.timezone))}"
    return "" if asleep else "; does not fire any more"
