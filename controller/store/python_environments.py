"""The tables of Python environments: requests with their locks, and what was built from these.

Several requests can have the same lock, and then share one environment, by its digest. A row outlives its files while
runs name it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, exists, func, insert, select, update

from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.runs import ACTIVE
from controller.records import dataclass
from controller.store.batches import batches
from controller.store.schema import python_environments, python_requests, runs
from controller.store.store import Transaction

_REQUEST = [column for column in python_requests.columns if column.name != "project"]
_BUILT = [python_environments.c[name] for name in ("version", "packages", "executable", "ready_at", "used_at", "bytes")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltEnvironment:
    """The files of one digest. `executable` is None once the files were removed."""

    digest: str
    version: str
    packages: Mapping[str, str]
    executable: str | None
    ready_at: datetime
    used_at: datetime
    bytes: int


def insert_new(tx: Transaction, request: PythonEnvironment) -> None:
    """Record a request that has no row yet."""
    values = {column.name: getattr(request, column.name) for column in _REQUEST}
    tx.connection.execute(insert(python_requests).values({**values, "project": tx.project}))


def find(tx: Transaction, request: str) -> PythonEnvironment | None:
    """Return the environment of this request, or None."""
    return find_all(tx, [request]).get(request)


def find_all(tx: Transaction, requests: Collection[str] | None = None) -> dict[str, PythonEnvironment]:
    """Return the environments of these requests, or of all, by the digest of the request."""
    if requests is None:
        return _by_request(tx, _joined(tx))
    matches: dict[str, PythonEnvironment] = {}
    for digests in batches(requests):
        is_one = python_requests.c.request.in_(digests)
        matches.update(_by_request(tx, _joined(tx).where(is_one)))
    return matches


def find_by_digest(tx: Transaction, digest: str) -> PythonEnvironment | None:
    """Return the environment with this digest, which a run names; None if unknown.

    It has the first of the requests that name it. No request does after the interpreter was upgraded.
    """
    query = _joined(tx).where(python_requests.c.digest == digest).limit(1)
    environment = next(iter(_by_request(tx, query).values()), None)
    built = None if environment is not None else find_built(tx, digest)
    return environment if built is None else _replaced(built)


def find_replaced(tx: Transaction) -> list[PythonEnvironment]:
    """Return the environments on disk that no request names, because the interpreter was upgraded since."""
    is_requested = exists().where(
        python_requests.c.project == python_environments.c.project,
        python_requests.c.digest == python_environments.c.digest,
    )
    query = select(python_environments).where(
        python_environments.c.project == tx.project, python_environments.c.executable.is_not(None), ~is_requested
    )
    return [_replaced(_built(row)) for row in tx.connection.execute(query)]


def change(tx: Transaction, request: str, **values: Any) -> None:
    """Change columns of a request."""
    tx.connection.execute(
        update(python_requests)
        .where(python_requests.c.project == tx.project, python_requests.c.request == request)
        .values(values)
    )


def save_built(tx: Transaction, built: BuiltEnvironment) -> None:
    """Record that an environment is on disk. If it was before, only its use is recorded."""
    existing = find_built(tx, built.digest)
    if existing is not None and existing.executable == built.executable:
        mark_used(tx, built.digest, built.used_at)
        return
    if existing is not None:
        tx.connection.execute(delete(python_environments).where(*_is_one(tx, built.digest)))
    values = {name: getattr(built, name) for name in BuiltEnvironment.__dataclass_fields__}
    tx.connection.execute(insert(python_environments).values(project=tx.project, **values))


def find_built(tx: Transaction, digest: str) -> BuiltEnvironment | None:
    """Return what was built for this digest, or None."""
    row = tx.connection.execute(select(python_environments).where(*_is_one(tx, digest))).first()
    return None if row is None else _built(row)


def find_all_built(tx: Transaction, digests: Collection[str]) -> dict[str | None, BuiltEnvironment]:
    """Return what was built for these digests, by digest."""
    matches: dict[str | None, BuiltEnvironment] = {}
    for some in batches(digests):
        is_one = python_environments.c.digest.in_(some)
        query = select(python_environments).where(python_environments.c.project == tx.project, is_one)
        matches.update({row.digest: _built(row) for row in tx.connection.execute(query)})
    return matches


def find_unused(tx: Transaction, named: Collection[str], before: datetime) -> list[BuiltEnvironment]:
    """Return environments on disk, last used before `before`, that neither these requests nor unfinished runs name."""
    kept = set(_digests(tx, named))
    unfinished = exists().where(
        runs.c.python == python_environments.c.digest, runs.c.state.in_([state.value for state in ACTIVE])
    )
    query = select(python_environments).where(
        python_environments.c.project == tx.project,
        python_environments.c.executable.is_not(None),
        python_environments.c.used_at < before,
        ~unfinished,
    )
    return [_built(row) for row in tx.connection.execute(query) if row.digest not in kept]


def find_on_disk(tx: Transaction) -> set[str]:
    """Return the digests of the environments whose files are on disk."""
    query = select(python_environments.c.digest).where(
        python_environments.c.project == tx.project, python_environments.c.executable.is_not(None)
    )
    return set(tx.connection.execute(query).scalars())


def count_by_state(tx: Transaction) -> dict[PythonState, int]:
    """Return the number of environments that deployments have asked for, by state, without states that none has."""
    of_project = python_requests.c.project == tx.project
    query = select(python_requests.c.state, func.count()).where(of_project).group_by(python_requests.c.state)
    return {PythonState(state): count for state, count in tx.connection.execute(query)}


def bytes_on_disk(tx: Transaction) -> int:
    """Return the total size of the environments whose files are on disk."""
    is_on_disk = (python_environments.c.project == tx.project, python_environments.c.executable.is_not(None))
    query = select(func.coalesce(func.sum(python_environments.c.bytes), 0)).where(*is_on_disk)
    return int(tx.connection.execute(query).scalar_one())


def mark_removed(tx: Transaction, digest: str) -> None:
    """Record that the files of this environment are about to be removed. Its requests wait until they are needed."""
    tx.connection.execute(update(python_environments).where(*_is_one(tx, digest)).values(executable=None))
    tx.connection.execute(
        update(python_requests)
        .where(python_requests.c.project == tx.project, python_requests.c.digest == digest)
        .values(state=PythonState.WAITING.value, reason="Removed", message="Removed because nothing used it.")
    )


def mark_used(tx: Transaction, digest: str, now: datetime) -> bool:
    """Record that a flow was started in this environment. Return False if its files were removed."""
    is_on_disk = python_environments.c.executable.is_not(None)
    result = tx.connection.execute(
        update(python_environments).where(*_is_one(tx, digest), is_on_disk).values(used_at=now)
    )
    return bool(result.rowcount)


def delete_unnamed(tx: Transaction, named: Collection[str], before: datetime) -> list[str]:
    """Delete the requests and environments that nothing names, whose files are gone. Return the requests.

    Requests created after `before` stay, because their deployments may not be applied yet.
    """
    kept = set(named)
    candidates = select(python_requests.c.request).where(
        python_requests.c.project == tx.project,
        python_requests.c.created_at < before,
        ~exists().where(
            python_environments.c.digest == python_requests.c.digest, python_environments.c.executable.is_not(None)
        ),
        ~exists().where(runs.c.python == python_requests.c.digest),
    )
    removed = [request for request in tx.connection.execute(candidates).scalars() if request not in kept]
    for some in batches(removed):
        is_one = python_requests.c.request.in_(some)
        tx.connection.execute(delete(python_requests).where(python_requests.c.project == tx.project, is_one))
    tx.connection.execute(
        delete(python_environments).where(
            python_environments.c.project == tx.project,
            python_environments.c.executable.is_(None),
            ~exists().where(runs.c.python == python_environments.c.digest),
            ~exists().where(python_requests.c.digest == python_environments.c.digest),
        )
    )
    return removed


def reset_interrupted(tx: Transaction) -> None:
    """Mark the builds that a controller began and did not end as waiting."""
    tx.connection.execute(
        update(python_requests)
        .where(python_requests.c.project == tx.project, python_requests.c.state == PythonState.BUILDING.value)
        .values(state=PythonState.WAITING.value)
    )


def _replaced(built: BuiltEnvironment) -> PythonEnvironment:
    """Return the environment that no request names any more."""
    return PythonEnvironment(
        request="",
        declared_at="",
        state=PythonState.WAITING if built.executable is None else PythonState.READY,
        reason="Replaced",
        message="Its deployments use another Python now.",
        created_at=built.ready_at,
        **{name: getattr(built, name) for name in BuiltEnvironment.__dataclass_fields__},
    )


def _is_one(tx: Transaction, digest: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return python_environments.c.project == tx.project, python_environments.c.digest == digest


def _digests(tx: Transaction, requests: Collection[str]) -> list[str]:
    return [environment.digest for environment in find_all(tx, requests).values() if environment.digest is not None]


def _joined(tx: Transaction) -> Select[Any]:
    is_its = (python_environments.c.project == tx.project) & (python_environments.c.digest == python_requests.c.digest)
    return (
        select(*_REQUEST, *_BUILT)
        .select_from(python_requests.outerjoin(python_environments, is_its))
        .where(python_requests.c.project == tx.project)
        .order_by(python_requests.c.created_at, python_requests.c.request)
    )


def _by_request(tx: Transaction, query: Select[Any]) -> dict[str, PythonEnvironment]:
    return {row.request: _from_row(row) for row in tx.connection.execute(query)}


def _from_row(row: Row[Any]) -> PythonEnvironment:
    values = row._asdict()
    return PythonEnvironment(**{**values, "state": PythonState(row.state), "packages": row.packages or {}})


def _built(row: Row[Any]) -> BuiltEnvironment:
    return BuiltEnvironment(**{name: getattr(row, name) for name in BuiltEnvironment.__dataclass_fields__})
