"""The state of a deployment in one word, and how many deployments are in each. The overview page shows the numbers."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from controller.queries.deployments import DeploymentView, Rank, rank


class DeploymentState(StrEnum):
    """The state of a deployment in one word, the worst first."""

    INVALID = "invalid"
    FAILING = "failing"
    OUT_OF_SYNC = "out_of_sync"
    LATE = "late"
    HELD = "held"
    SUSPENDED = "suspended"
    OK = "ok"


_STATES = {
    Rank.INVALID: DeploymentState.INVALID,
    Rank.FAILING: DeploymentState.FAILING,
    Rank.OUT_OF_SYNC: DeploymentState.OUT_OF_SYNC,
    Rank.LATE: DeploymentState.LATE,
}


def deployment_state(view: DeploymentView) -> DeploymentState:
    """Return the state of a deployment; a deployment that is running and has no problem is `ok`."""
    place = rank(view)
    if place is Rank.HELD:
        return DeploymentState.HELD if view.held else DeploymentState.SUSPENDED
    return _STATES.get(place, DeploymentState.OK)


def count_states(views: Iterable[DeploymentView]) -> dict[DeploymentState, int]:
    """Return the number of deployments in each state, including zeros."""
    counts = Counter(map(deployment_state, views))
    return {state: counts[state] for state in DeploymentState}
