"""Records the condition `ExecutorReady` of each executor, and an event when a cluster is lost or answers again.

Used by the engine's thread. The executors say when they are ready: they send the requests.
"""

from collections.abc import Mapping
from datetime import datetime

from controller.clock import Clock
from controller.model.status import Condition, ConditionStatus, ConditionType, Event, EventSeverity, ExecutorStatus
from controller.runs.executors.executor import Readiness
from controller.runs.executors.executor_set import ExecutorSet
from controller.store import Store, events, executor_records


class ExecutorConditions:
    """The recorded conditions of the executors of this controller."""

    def __init__(self, store: Store, clock: Clock, executors: ExecutorSet) -> None:
        self._store = store
        self._clock = clock
        self._executors = executors
        self._recorded: dict[str, ExecutorStatus] | None = None
        self._readiness: dict[str, Readiness] = {}

    def record(self) -> None:
        """Record the conditions that have changed since the last call. The engine calls it in every turn.

        Raises StateError.
        """
        readiness = self._executors.readiness
        if readiness == self._readiness:
            return
        if self._recorded is None:
            with self._store.read() as tx:
                self._recorded = executor_records.find_all(tx)
        before = self._recorded
        known = before if before.keys() == readiness.keys() else {}  # a controller with other executors wrote them
        now = self._clock.now()
        after = {name: _status(name, each, known.get(name), now) for name, each in readiness.items()}
        if after != before:
            self._write(before, after, now)
        self._readiness = readiness

    def _write(self, before: Mapping[str, ExecutorStatus], after: dict[str, ExecutorStatus], now: datetime) -> None:
        changes = (_event(before.get(name), status, now) for name, status in after.items())
        with self._store.write() as tx:
            executor_records.replace_all(tx, after.values())
            events.append(tx, [event for event in changes if event is not None])
        self._recorded = after


def _status(name: str, readiness: Readiness, before: ExecutorStatus | None, now: datetime) -> ExecutorStatus:
    """Return the status of an executor: the recorded one, if there is one and the cluster has not been asked yet."""
    if before is not None and readiness.status is ConditionStatus.UNKNOWN:
        return before
    is_same = before is not None and before.ready.status is readiness.status
    condition = Condition(
        type=ConditionType.EXECUTOR_READY,
        status=readiness.status,
        reason=readiness.reason,
        message=readiness.message,
        last_transition_time=before.ready.last_transition_time if before is not None and is_same else now,
    )
    return ExecutorStatus(name=name, conditions=(condition,))


def _event(before: ExecutorStatus | None, after: ExecutorStatus, now: datetime) -> Event | None:
    """Return the event for a cluster that no longer answers, or answers again."""
    ready, was_false = after.ready, before is not None and before.ready.status is ConditionStatus.FALSE
    is_false = ready.status is ConditionStatus.FALSE
    if is_false is was_false or not (is_false or ready.is_true):
        return None
    return Event(
        time=now,
        severity=EventSeverity.ERROR if is_false else EventSeverity.INFO,
        reason=ready.reason,
        message=f"Executor {after.name}: {ready.message}",
        about="controller",
    )
