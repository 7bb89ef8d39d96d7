"""Lookups for many deployments at once: their due times, and the runs that wait or are waited for.

Each takes as many statements for thousands of deployments as for one. `runs` uses it for upstream deployments.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy import and_, bindparam, exists, func, or_, select

from controller.model.runs import ACTIVE, Occurrence, Outcome, Run, RunId, RunState, first_id
from controller.schedules import EXCLUSIONS
from controller.store.prepared import Prepared, as_stored, listed, listed_rows, one_of
from controller.store.rows import from_row
from controller.store.runs import find_all
from controller.store.runs import from_row as run_from_row
from controller.store.schema import occurrences, runs
from controller.store.sql_functions import as_time, without_index
from controller.store.store import Transaction

_EPOCH = datetime.fromtimestamp(0, UTC)
DueTime = tuple[str, datetime]
"""A deployment, and a due time of it."""

_ACTIVE = [state.value for state in ACTIVE]
_TIMES = listed_rows("times", "deployment", "due_time").cte("times")
_IS_RECORDED = and_(
    occurrences.c.project == bindparam("project"),
    occurrences.c.deployment == _TIMES.c.deployment,
    occurrences.c.scheduled_for == as_time(_TIMES.c.due_time),
)
_IS_OF_TIME = and_(
    runs.c.project == bindparam("project"),
    runs.c.deployment == _TIMES.c.deployment,
    runs.c.scheduled_for == as_time(_TIMES.c.due_time),
)
# Outer joins make SQLite begin with the list, and look up each of its rows.
_RECORDED = Prepared(select(occurrences).select_from(_TIMES.outerjoin(occurrences, _IS_RECORDED)))
_RUNS_OF_TIMES = Prepared(
    select(runs.c.deployment, runs.c.scheduled_for, runs.c.id)
    .select_from(_TIMES.outerjoin(runs, _IS_OF_TIME))
    .order_by(runs.c.id)
)
_UNFINISHED = Prepared(select(_TIMES).where(exists().where(_IS_OF_TIME, one_of(runs.c.state, _ACTIVE))))
_IS_DUE = or_(
    occurrences.c.reason.is_(None),
    and_(*(~occurrences.c.reason.startswith(prefix, autoescape=True) for prefix in EXCLUSIONS)),
)
_LATEST = Prepared(
    select(
        _TIMES,
        select(occurrences.c.scheduled_for)
        .where(
            occurrences.c.project == bindparam("project"),
            occurrences.c.deployment == _TIMES.c.deployment,
            occurrences.c.scheduled_for <= as_time(_TIMES.c.due_time),
            _IS_DUE,
        )
        .order_by(occurrences.c.scheduled_for.desc())
        .limit(1)
        .correlate(_TIMES)
        .scalar_subquery()
        .label("latest"),
    )
)
_SINCE = listed_rows("since", "deployment", "since", "first_id").cte("since")
_NEWEST = Prepared(
    select(
        _SINCE,
        select(runs.c.id)
        .where(
            runs.c.project == bindparam("project"),
            runs.c.deployment == _SINCE.c.deployment,
            runs.c.state.in_(listed("states")),
            runs.c.id >= _SINCE.c.first_id,
            runs.c.created_at > as_time(_SINCE.c.since),
        )
        .order_by(runs.c.id.desc())
        .limit(1)
        .correlate(_SINCE)
        .scalar_subquery()
        .label("newest"),
    )
)
_UNFINISHED_RUNS = Prepared(
    select(runs)
    .where(
        runs.c.project == bindparam("project"),
        one_of(runs.c.state, _ACTIVE),
        without_index(runs.c.deployment).in_(listed("names")),  # few runs are unfinished, but a history is long
    )
    .order_by(runs.c.id.desc())
)
_OF_CHAINS = Prepared(
    select(runs.c.deployment, runs.c.id, func.coalesce(runs.c.chain, runs.c.id).label("chain"))
    .where(
        runs.c.project == bindparam("project"),
        runs.c.deployment.in_(listed("names")),
        runs.c.scheduled_for.is_(None),
        func.coalesce(runs.c.chain, runs.c.id).in_(listed("chains")),
    )
    .order_by(runs.c.id)
)


def find_recorded(tx: Transaction, times: Collection[DueTime]) -> dict[DueTime, Occurrence]:
    """Return the rows of the ledger for those of these due times that have one."""
    found = {}
    for row in _RECORDED.fetch(tx, times=_to_rows(times), project=tx.project) if times else ():
        if row.deployment is not None:
            state = None if row.state is None else RunState(row.state)
            found[row.deployment, row.scheduled_for] = from_row(
                Occurrence, row, runs=(), outcome=Outcome(row.outcome), state=state
            )
    return found


def find_unfinished(tx: Transaction, times: Collection[DueTime]) -> set[DueTime]:
    """Return those of these due times that have a run that has not finished."""
    by_text = {(name, as_stored(due_time)): (name, due_time) for name, due_time in times}
    rows = _UNFINISHED.fetch(tx, times=list(by_text), project=tx.project) if times else ()
    return {by_text[row.deployment, row.due_time] for row in rows}


def find_runs_of_times(tx: Transaction, times: Collection[DueTime]) -> dict[DueTime, list[RunId]]:
    """Return all runs of these due times, oldest first."""
    found: dict[DueTime, list[RunId]] = {}
    for row in _RUNS_OF_TIMES.fetch(tx, times=_to_rows(times), project=tx.project) if times else ():
        if row.id is not None:
            found.setdefault((row.deployment, row.scheduled_for), []).append(RunId(row.id))
    return found


def find_latest_due(tx: Transaction, limits: Collection[DueTime]) -> dict[DueTime, datetime]:
    """Return the latest recorded due time of each of these deployments at or before the given time.

    Times that a calendar or a window excludes are left out, and so are deployments that have none.
    """
    by_text = {(name, as_stored(until)): (name, until) for name, until in limits}
    rows = _LATEST.fetch(tx, times=list(by_text), project=tx.project) if limits else ()
    return {by_text[row.deployment, row.due_time]: row.latest for row in rows if row.latest is not None}


def find_newest(
    tx: Transaction, created: Collection[tuple[str, datetime | None]], states: Iterable[RunState]
) -> dict[tuple[str, datetime | None], RunId]:
    """Return the newest run in one of these states of each of these deployments that was created after the given time.

    With None as the time, it may have been created at any time.
    """
    by_text = {
        (name, as_stored(since or _EPOCH), "" if since is None else first_id(since)): (name, since)
        for name, since in created
    }
    values = [state.value for state in states]
    rows = _NEWEST.fetch(tx, since=list(by_text), states=values, project=tx.project) if created else ()
    return {
        by_text[row.deployment, row.since, row.first_id]: RunId(row.newest) for row in rows if row.newest is not None
    }


def find_unfinished_runs(tx: Transaction, names: Collection[str]) -> dict[str, list[Run]]:
    """Return the unfinished runs of these deployments, newest first, by deployment."""
    found: dict[str, list[Run]] = {}
    for row in _UNFINISHED_RUNS.fetch(tx, names=sorted(names), project=tx.project) if names else ():
        found.setdefault(row.deployment, []).append(run_from_row(row))
    return found


def find_of_chains(tx: Transaction, chains: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[RunId]]:
    """Return the runs of each of these deployments that belong to the given chain, oldest first.

    A chain of retries has the id of its first run, which belongs to it. It reads all runs without a due time.
    """
    wanted = {"names": sorted({name for name, _ in chains}), "chains": sorted({chain for _, chain in chains})}
    found: dict[tuple[str, str], list[RunId]] = {}
    for row in _OF_CHAINS.fetch(tx, **wanted, project=tx.project) if chains else ():
        found.setdefault((row.deployment, row.chain), []).append(RunId(row.id))
    return found


def find_retried(tx: Transaction, retries: Iterable[Run]) -> dict[RunId, list[Run]]:
    """Return the runs that each of these runs retries, the last one first, as far as they are stored.

    It takes one statement for each link of the longest chain of retries.
    """
    chains: dict[RunId, list[Run]] = {run.id: [] for run in retries}
    wanted = {run.id: run.retry_of for run in retries if run.retry_of is not None}
    while wanted:
        stored = find_all(tx, sorted(set(wanted.values())))
        found = {run_id: stored[earlier] for run_id, earlier in wanted.items() if earlier in stored}
        for run_id, run in found.items():
            chains[run_id].append(run)
        wanted = {run_id: run.retry_of for run_id, run in found.items() if run.retry_of is not None}
    return chains


def find_first_runs(tx: Transaction, stored: Mapping[RunId, Run]) -> dict[RunId, Run]:
    """Return the first run of the chain of retries that each of these runs belongs to."""
    chains = find_retried(tx, list(stored.values()))
    return {run_id: (chains[run_id] or [run])[-1] for run_id, run in stored.items()}


def _to_rows(times: Iterable[DueTime]) -> list[tuple[str, str]]:
    return [(name, as_stored(due_time)) for name, due_time in set(times)]
