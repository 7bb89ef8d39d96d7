"""The table of which deployment asks for which Python environment: its active version, and a newer one that waits."""

from collections.abc import Collection, Iterable

from sqlalchemy import delete, insert, select

from controller.model.python_environments import PythonUse
from controller.store.schema import python_uses
from controller.store.store import Transaction


def find(tx: Transaction, deployment: str | None = None) -> list[PythonUse]:
    """Return the uses by this deployment, or by all, sorted by name."""
    query = select(python_uses.c.deployment, python_uses.c.request, python_uses.c.is_active)
    query = query.where(python_uses.c.project == tx.project).order_by(python_uses.c.deployment, python_uses.c.request)
    if deployment is not None:
        query = query.where(python_uses.c.deployment == deployment)
    return [PythonUse(**row._mapping) for row in tx.connection.execute(query)]


def save(tx: Transaction, uses: Iterable[PythonUse], kept: Collection[str]) -> None:
    """Record the uses of a revision in place of all others, except for the active ones of the deployments in `kept`."""
    old = set(find(tx))
    active = {use for use in old if use.is_active and use.deployment in kept}
    new = {(use.deployment, use.request): use for use in (*uses, *active)}
    obsolete = old - set(new.values())
    added = set(new.values()) - old
    for use in obsolete:
        is_one = (python_uses.c.deployment == use.deployment, python_uses.c.request == use.request)
        tx.connection.execute(delete(python_uses).where(python_uses.c.project == tx.project, *is_one))
    if added:
        rows = [
            {"deployment": use.deployment, "request": use.request, "is_active": use.is_active, "project": tx.project}
            for use in added
        ]
        tx.connection.execute(insert(python_uses), rows)
