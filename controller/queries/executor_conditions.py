"""The condition `ExecutorReady` of executors on clusters, and of deployments whose executor is missing."""

from collections.abc import Mapping

from controller.model.status import Condition, ConditionStatus, ConditionType, ExecutorStatus
from controller.store import Transaction, executor_records

_LOCAL = "local"
_OPTIONS = {"ray": "--ray-address"}


def list_cluster_executors(tx: Transaction) -> tuple[ExecutorStatus, ...]:
    """Return the executors of the controller that run flows on a cluster."""
    return tuple(status for status in executor_records.find_all(tx).values() if status.name != _LOCAL)


def missing_executor_conditions(name: str | None, executors: Mapping[str, ExecutorStatus]) -> tuple[Condition, ...]:
    """Return the condition `ExecutorReady=False` if a deployment names an executor that the controller does not have.

    Returns nothing while it is unknown which executors the controller has.
    """
    local = executors.get(_LOCAL)
    if name is None or name in executors or local is None:
        return ()
    option = _OPTIONS.get(name)
    remedy = "" if option is None else f" Start the controller with {option}, or remove `executor: {name}`."
    condition = Condition(
        type=ConditionType.EXECUTOR_READY,
        status=ConditionStatus.FALSE,
        reason="ExecutorMissing",
        message=f"The controller has no executor {name}, so runs wait.{remedy}",
        last_transition_time=local.ready.last_transition_time,
    )
    return (condition,)
