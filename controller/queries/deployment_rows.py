"""Deployments as rows of a table, with descriptions of their schedules and their last runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.schedules import Schedule
from controller.queries.deployments import DeploymentView
from controller.schedules import describe
from controller.store import Transaction, run_statistics
from controller.store.run_statistics import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """One row. `zone` is the time zone of the first schedule, empty without schedules."""

    view: DeploymentView
    schedules: tuple[str, ...]
    zone: str
    bars: tuple[Bar, ...]


def deployment_row(tx: Transaction, view: DeploymentView, schedules: Sequence[Schedule], bars: int) -> DeploymentRow:
    """Build the row of a deployment with its last `bars` runs."""
    return DeploymentRow(
        view=view,
        schedules=tuple(describe(schedule) for schedule in schedules),
        zone=schedules[0].timezone if schedules else "",
        bars=tuple(run_statistics.last_bars(tx, view.name, bars)),
    )
