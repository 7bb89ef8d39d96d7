"""Which deployment asks for which Python environment: its active version, and a newer one that waits."""

from sqlalchemy import select

from controller.model.python_environments import PythonUse
from controller.store.schema import inventory
from controller.store.store import Transaction


def find(tx: Transaction, deployment: str | None = None) -> list[PythonUse]:
    """Return the uses by this deployment, or by all active ones, sorted by name."""
    query = select(inventory.c.name, inventory.c.python, inventory.c.python_waiting)
    query = query.where(inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    query = query.where(inventory.c.python.is_not(None) | inventory.c.python_waiting.is_not(None))
    if deployment is not None:
        query = query.where(inventory.c.name == deployment)
    return [
        PythonUse(deployment=row.name, request=request, is_active=is_active)
        for row in tx.connection.execute(query.order_by(inventory.c.name))
        for request, is_active in ((row.python, True), (row.python_waiting, False))
        if request is not None
    ]
