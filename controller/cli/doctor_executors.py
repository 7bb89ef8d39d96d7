"""The checks of `controller doctor` for executors on clusters, and for deployments whose executor is missing.

They show what the controller recorded last. `controller.cli.doctor_checks` calls them.
"""

from collections.abc import Iterator

from controller.clock import SystemClock
from controller.errors import ControllerError
from controller.model.status import ConditionStatus, ConditionType, ExecutorStatus
from controller.queries.deployments import list_deployments
from controller.queries.doctor import Check
from controller.queries.executor_conditions import list_cluster_executors
from controller.store import Store
from controller.store.state_directory import StateDirectory
from controller.text import join_first
from controller.time_format import format_time

_MOST_NAMES = 3
_STATUSES = {ConditionStatus.TRUE: "ok", ConditionStatus.UNKNOWN: "ok", ConditionStatus.FALSE: "error"}


def check_executors(state: StateDirectory) -> list[Check]:
    """Return the checks of executors. Returns none if the state can't be read, which another check reports."""
    try:
        store = Store.open_existing(state.database)
    except ControllerError:
        return []
    if store is None:
        return []
    try:
        with store.read() as tx:
            executors = list_cluster_executors(tx)
            lacking = {
                view.name: condition.message
                for view in list_deployments(tx, SystemClock().now())
                for condition in view.conditions
                if condition.type is ConditionType.EXECUTOR_READY
            }
    except ControllerError:
        return []
    finally:
        store.close()
    return [*map(_cluster, executors), *_missing(lacking)]


def _cluster(executor: ExecutorStatus) -> Check:
    ready = executor.ready
    since = format_time(ready.last_transition_time, None)
    is_lost = ready.status is ConditionStatus.FALSE
    return Check(
        name=f"executor {executor.name}",
        status=_STATUSES[ready.status],
        message=f"{ready.reason} since {since}: {ready.message}",
        hint="check the cluster; a running controller asks it again every 10 seconds" if is_lost else None,
    )


def _missing(lacking: dict[str, str]) -> Iterator[Check]:
    """Return a check for each executor that is missing."""
    for message in sorted(set(lacking.values())):
        names = [name for name, each in lacking.items() if each == message]
        yield Check(
            name="executor",
            status="error",
            message=f"{message} Deployments: {join_first(names, _MOST_NAMES)}",
            hint="run `controller explain ExecutorMissing` for the remedy",
        )
