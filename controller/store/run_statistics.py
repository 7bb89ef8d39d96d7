"""Sums over runs, made by the database: how many in each half hour, which deployments fail, the last few of one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Integer, cast, func, select

from controller.model.runs import RunState, first_id
from controller.store.schema import run_counts, runs, unindexed
from controller.store.store import Transaction

FAILED = (RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often a deployment has failed, and its newest run that did."""

    deployment: str
    count: int
    last_run_id: str
    last_at: datetime


def by_slot(tx: Transaction, since: datetime, slot: timedelta) -> dict[tuple[datetime, RunState], int]:
    """How many runs were made since then, by the beginning of their slot (counted from the epoch) and state."""
    seconds = int(slot.total_seconds())
    number = cast(func.strftime("%s", runs.c.created_at), Integer) // seconds
    rows = tx.connection.execute(
        select(number.label("slot"), runs.c.state, func.count())
        .where(unindexed(runs.c.project) == tx.project, runs.c.id >= first_id(since), runs.c.created_at >= since)
        .group_by("slot", runs.c.state)
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    found: dict[tuple[datetime, RunState], int] = {}
    for at, state, count in rows:
        key = (epoch + timedelta(seconds=int(at) * seconds), RunState(state))
        found[key] = found.get(key, 0) + count
    return found


def by_state(tx: Transaction) -> dict[RunState, int]:
    """How many runs there are in each state, of all that are recorded: read, not counted."""
    rows = tx.connection.execute(
        select(run_counts.c.state, run_counts.c.count).where(run_counts.c.project == tx.project, run_counts.c.count > 0)
    )
    return {RunState(state): count for state, count in rows}


def failures(tx: Transaction, since: datetime, limit: int) -> list[Failures]:
    """The deployments with the most failed runs since then."""
    count = func.count()
    # Grouped along the index of the states: those that failed lately are few, and all of each deployment are many.
    name = unindexed(runs.c.deployment)
    rows = tx.connection.execute(
        select(name, count, func.max(runs.c.id), func.max(runs.c.created_at))
        .where(
            runs.c.project == tx.project,
            runs.c.id >= first_id(since),
            runs.c.created_at >= since,
            runs.c.state.in_([state.value for state in FAILED]),
        )
        .group_by(name)
        .order_by(count.desc(), name)
        .limit(limit)
    )
    return [Failures(deployment=name, count=number, last_run_id=last, last_at=at) for name, number, last, at in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One run of a strip of the last few: what became of it, and how many seconds it took."""

    id: str
    state: RunState
    seconds: float | None


def last_bars(tx: Transaction, deployment: str, limit: int) -> list[Bar]:
    """The last runs of a deployment, oldest first."""
    rows = tx.connection.execute(
        select(runs.c.id, runs.c.state, runs.c.started_at, runs.c.finished_at)
        .where(runs.c.project == tx.project, runs.c.deployment == deployment)
        .order_by(runs.c.id.desc())
        .limit(limit)
    )
    found = [
        Bar(
            id=row.id,
            state=RunState(row.state),
            seconds=_lasted(row.started_at, row.finished_at),
        )
        for row in rows
    ]
    return found[::-1]


def _lasted(started_at: datetime | None, finished_at: datetime | None) -> float | None:
    """How long it took; never negative, whatever was done to the clock meanwhile."""
    return max(0.0, (finished_at - started_at).total_seconds()) if started_at and finished_at else None
