"""What valid manifests declare, and when each schedule fires next: for `controller validate --verbose`.

It reads no state: a command that only looks at files does not load a database.
"""

from dataclasses import dataclass
from datetime import datetime

from controller.manifests import DesiredState
from controller.model.deployments import Deployment
from controller.model.schedules import Schedule
from controller.schedules import describe, next_fire_times


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSchedule:
    """One schedule in words. `next_fire_time` is None when it has ended, or is suspended, alone or with all others."""

    id: str
    text: str
    timezone: str
    suspended: bool
    next_fire_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredView:
    """One valid deployment. `file` (from the repository root) and `line` say where it is declared."""

    name: str
    file: str
    line: int
    suspended: bool
    schedules: tuple[DeclaredSchedule, ...]


def declared_views(desired: DesiredState, now: datetime) -> list[DeclaredView]:
    """Every valid deployment, in the order of the files and their lines."""
    found = sorted(desired.deployments.values(), key=lambda one: (one.file, one.line, one.name))
    return [_view(deployment, now) for deployment in found]


def _view(deployment: Deployment, now: datetime) -> DeclaredView:
    return DeclaredView(
        name=deployment.name,
        file=deployment.file,
        line=deployment.line,
        suspended=deployment.suspend,
        schedules=tuple(_schedule(schedule, deployment, now) for schedule in deployment.schedules),
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
