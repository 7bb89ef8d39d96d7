"""The valid deployments in a set of manifests, with the next fire time of each schedule.

Used by `controller validate --verbose`. No state is read, so that a command about files does not load a database.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from controller.model.deployments import Deployment
from controller.model.schedules import Schedule
from controller.model.trigger_texts import trigger_texts
from controller.records import dataclass
from controller.schedules import describe, next_fire_times

if TYPE_CHECKING:
    from controller.manifests.reader import DesiredState


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSchedule:
    """One schedule. `suspended` is about the schedule alone.

    `next_fire_time` is None if the schedule has ended, or if it or its deployment is suspended.
    """

    id: str
    text: str
    timezone: str
    suspended: bool
    next_fire_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredView:
    """One valid deployment. `file` (relative to the repository root) and `line` say where it is declared.

    `triggers` has a phrase for each event that starts its runs.
    """

    name: str
    file: str
    line: int
    suspended: bool
    schedules: tuple[DeclaredSchedule, ...]
    triggers: tuple[str, ...]


def declared_views(desired: "DesiredState", now: datetime) -> list[DeclaredView]:
    """Return all valid deployments, sorted by file and line."""
    deployments = sorted(desired.deployments.values(), key=lambda item: (item.file, item.line, item.name))
    return [_view(deployment, now) for deployment in deployments]


def _view(deployment: Deployment, now: datetime) -> DeclaredView:
    return DeclaredView(
        name=deployment.name,
        file=deployment.file,
        line=deployment.line,
        suspended=deployment.suspend,
        schedules=tuple(_schedule(schedule, deployment, now) for schedule in deployment.schedules),
        triggers=trigger_texts(deployment),
    )


def _schedule(schedule: Schedule, deployment: Deployment, now: datetime) -> DeclaredSchedule:
    times = [] if deployment.suspend else next_fire_times([schedule], now, 1)
    return DeclaredSchedule(
        id=schedule.id,
        text=describe(schedule),
        timezone=schedule.timezone,
        suspended=schedule.suspend,
        next_fire_time=times[0][0] if times else None,
    )
