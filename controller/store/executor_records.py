"""The table of executors with their condition `ExecutorReady`. The leader's engine writes it, queries read it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select

from controller.model.status import Condition, ConditionStatus, ConditionType, ExecutorStatus
from controller.store.leadership_tables import executors
from controller.store.prepared import Prepared
from controller.store.store import Transaction

_FIND = Prepared(select(executors).where(executors.c.project == bindparam("of_project")).order_by(executors.c.name))


def find_all(tx: Transaction) -> dict[str, ExecutorStatus]:
    """Return the executors of the controller that leads or led last, by name; empty if none has recorded them."""
    rows = _FIND.fetch(tx, of_project=tx.project)
    return {row.name: ExecutorStatus(name=row.name, conditions=(_condition(row),)) for row in rows}


def replace_all(tx: Transaction, statuses: Iterable[ExecutorStatus]) -> None:
    """Record these executors, and no others."""
    tx.connection.execute(delete(executors).where(executors.c.project == tx.project))
    rows = [
        {
            "project": tx.project,
            "name": status.name,
            "status": status.ready.status.value,
            "reason": status.ready.reason,
            "message": status.ready.message,
            "since": status.ready.last_transition_time,
        }
        for status in statuses
    ]
    tx.connection.execute(insert(executors), rows)


def _condition(row: Row[Any]) -> Condition:
    return Condition(
        type=ConditionType.EXECUTOR_READY,
        status=ConditionStatus(row.status),
        reason=row.reason,
        message=row.message,
        last_transition_time=row.since,
    )
