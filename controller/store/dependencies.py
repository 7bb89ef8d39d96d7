"""The table of active dependencies: which deployments declare which upstream deployments with `after`.

`reconcile` writes it in the transaction that applies a plan. The end of a run reads it, so that only runs of upstream
deployments are evaluated.
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import bindparam, delete, insert, select

from controller.store import releases
from controller.store.prepared import Prepared, listed
from controller.store.store import Transaction
from controller.store.trigger_tables import dependencies

_DEPENDANTS = Prepared(
    select(dependencies.c.upstream, dependencies.c.deployment)
    .where(dependencies.c.project == bindparam("project"), dependencies.c.upstream.in_(listed("upstreams")))
    .order_by(dependencies.c.upstream, dependencies.c.deployment)
)


def replace_all(tx: Transaction, upstreams: Mapping[str, Iterable[str]]) -> None:
    """Replace all dependencies of the project by these: the names of the upstreams of each deployment.

    Upstream runs that have not released a run yet do not count any more if their dependency is gone.
    """
    stored = set(_find_pairs(tx))
    declared = {(name, upstream) for name, some in upstreams.items() for upstream in some}
    for deployment, upstream in sorted(stored - declared):
        tx.connection.execute(
            delete(dependencies).where(
                dependencies.c.project == tx.project,
                dependencies.c.deployment == deployment,
                dependencies.c.upstream == upstream,
            )
        )
        releases.delete_pending(tx, deployment, upstream)
    rows = [
        {"project": tx.project, "deployment": deployment, "upstream": upstream}
        for deployment, upstream in sorted(declared - stored)
    ]
    if rows:
        tx.connection.execute(insert(dependencies), rows)


def find_all(tx: Transaction) -> dict[str, list[str]]:
    """Return the names of the upstreams of each deployment that has any, sorted."""
    upstreams: dict[str, list[str]] = {}
    for deployment, upstream in _find_pairs(tx):
        upstreams.setdefault(deployment, []).append(upstream)
    return upstreams


def upstreams_of(tx: Transaction, deployment: str) -> list[str]:
    """Return the names of the upstreams of this deployment, sorted."""
    query = select(dependencies.c.upstream).where(
        dependencies.c.project == tx.project, dependencies.c.deployment == deployment
    )
    return list(tx.connection.execute(query.order_by(dependencies.c.upstream)).scalars())


def dependants_of(tx: Transaction, upstream: str) -> list[str]:
    """Return the names of the deployments that have this upstream, sorted."""
    return find_dependants(tx, [upstream]).get(upstream, [])


def find_dependants(tx: Transaction, upstreams: Collection[str]) -> dict[str, list[str]]:
    """Return the names of the deployments that have each of these upstreams, sorted."""
    dependants: dict[str, list[str]] = {}
    for row in _DEPENDANTS.fetch(tx, project=tx.project, upstreams=sorted(upstreams)):
        dependants.setdefault(row.upstream, []).append(row.deployment)
    return dependants


def _find_pairs(tx: Transaction) -> list[tuple[str, str]]:
    query = select(dependencies.c.deployment, dependencies.c.upstream).where(dependencies.c.project == tx.project)
    rows = tx.connection.execute(query.order_by(dependencies.c.deployment, dependencies.c.upstream))
    return [(row.deployment, row.upstream) for row in rows]
