"""The table of holds: at most one per deployment, whether the deployment is active or not."""

from typing import Any

from sqlalchemy import BindParameter, ScalarSelect, bindparam, delete, func, insert, select

from controller.model.status import Hold
from controller.store.prepared import Prepared
from controller.store.rows import from_row, to_row
from controller.store.schema import holds
from controller.store.store import Transaction

_FIND_ALL = Prepared(select(holds).where(holds.c.project == bindparam("project")).order_by(holds.c.deployment))


def next_end(project: BindParameter[Any], now: BindParameter[Any]) -> ScalarSelect[Any]:
    """Return the first end of a hold after `now`, as part of a statement; NULL if there is none."""
    return select(func.min(holds.c.until)).where(holds.c.project == project, holds.c.until > now).scalar_subquery()


def save(tx: Transaction, hold: Hold) -> None:
    """Save a hold; it replaces an earlier one of the same deployment."""
    remove(tx, hold.deployment)
    tx.connection.execute(insert(holds).values(to_row(tx, holds, hold)))


def remove(tx: Transaction, deployment: str) -> bool:
    """Delete the hold of this deployment. Return False if there is none."""
    result = tx.connection.execute(delete(holds).where(holds.c.project == tx.project, holds.c.deployment == deployment))
    return bool(result.rowcount)


def find_all(tx: Transaction) -> dict[str, Hold]:
    """Return all holds by deployment, including expired ones."""
    return {row.deployment: from_row(Hold, row) for row in _FIND_ALL.fetch(tx, project=tx.project)}
