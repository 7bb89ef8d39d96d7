"""Groups the deployments that wait for the approval of their deletion, so that they are one row of a list.

`controller.cli.terminal.status_view` calls it.
"""

from collections.abc import Sequence
from dataclasses import replace

from controller.model.status import WITHHELD
from controller.queries.deployments import DeploymentView, Rank, rank


def group_withheld(views: Sequence[DeploymentView]) -> list[DeploymentView]:
    """Return the rows with those that wait for the approval of their deletion, and are not failing, as one row."""
    withheld = [view for view in views if rank(view) is Rank.OUT_OF_SYNC and _is_withheld(view)]
    if len(withheld) < 2:
        return list(views)
    names = {view.name for view in withheld[1:]}
    group = replace(
        withheld[0],
        name=f"{withheld[0].name} and {len(names)} more",
        flow="waiting for approval of their deletion",
        command=None,
        next_fire_time=None,
        next_start=None,
        last_run=None,
    )
    rows = (group if view is withheld[0] else view for view in views if view.name not in names)
    return list(rows)


def _is_withheld(view: DeploymentView) -> bool:
    return any(condition.reason == WITHHELD for condition in view.conditions)
