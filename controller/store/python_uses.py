"""Which deployment asks for which Python environment: its active version, and a newer one that waits."""

from sqlalchemy import select

from controller.model.python_environments import PythonState, PythonUse
from controller.records import dataclass
from controller.store.schema import inventory, python_requests
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonProblem:
    """Why the Python environment of a deployment is not ready: the state and the reason of its request."""

    deployment: str
    request: str
    state: PythonState
    reason: str
    message: str


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


def find_not_ready(tx: Transaction) -> list[PythonProblem]:
    """Return the active deployments whose Python environment is not ready, sorted by name.

    Reads the requests first: these are few, and if all of them are ready, no deployment is read.
    """
    is_unready = (python_requests.c.project == tx.project, python_requests.c.state != PythonState.READY.value)
    columns = (python_requests.c[name] for name in ("request", "state", "reason", "message"))
    unready = {row.request: row for row in tx.connection.execute(select(*columns).where(*is_unready))}
    uses = dict.fromkeys((use.deployment, use.request) for use in (find(tx) if unready else ()))
    return [
        PythonProblem(
            deployment=deployment,
            request=request,
            state=PythonState(row.state),
            reason=row.reason,
            message=row.message,
        )
        for deployment, request in uses
        if (row := unready.get(request)) is not None
    ]
