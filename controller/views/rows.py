"""Deployments as rows of a table: with their schedules in words and their last runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.calendar import describe
from controller.errors import ControllerError
from controller.manifests import build_deployment
from controller.store import Transaction, figures, inventory
from controller.store.figures import Bar
from controller.views.deployments import DeploymentView


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """One row. `zone` is that of its first schedule."""

    view: DeploymentView
    schedules: tuple[str, ...]
    zone: str
    bars: tuple[Bar, ...]


def deployment_rows(tx: Transaction, views: Iterable[DeploymentView], bars: int) -> list[DeploymentRow]:
    """These deployments, each with so many of its last runs."""
    return [_row(tx, view, bars) for view in views]


def _row(tx: Transaction, view: DeploymentView, bars: int) -> DeploymentRow:
    entry = inventory.find(tx, view.name)
    try:
        schedules = () if entry is None else build_deployment(entry.document, entry.file, entry.line).schedules
    except ControllerError:
        schedules = ()
    return DeploymentRow(
        view=view,
        schedules=tuple(describe(schedule) for schedule in schedules),
        zone=schedules[0].timezone if schedules else "",
        bars=tuple(figures.strip(tx, view.name, bars)),
    )
