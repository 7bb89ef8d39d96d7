"""Statistics of runs, computed by the database: counts by time slot and by state, failures, and recent durations."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Text, case, cast, func, select, union_all

from controller.model.runs import FAILURES, FailureStreak, RunId, RunState, first_id
from controller.records import dataclass
from controller.store.schema import run_counts, runs
from controller.store.sql_functions import duration, elements, seconds_since_epoch, without_index
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """The number of failed runs of a deployment, and the newest of them."""

    deployment: str
    count: int
    last_run_id: str
    last_at: datetime


def by_slot(tx: Transaction, since: datetime, slot: timedelta) -> dict[tuple[datetime, RunState], int]:
    """Count the runs created since then, by state and by the beginning of their slot (aligned to the Unix epoch)."""
    seconds = int(slot.total_seconds())
    number = seconds_since_epoch(runs.c.created_at) // seconds
    rows = tx.connection.execute(
        select(number.label("slot"), runs.c.state, func.count())
        .where(without_index(runs.c.project) == tx.project, runs.c.id >= first_id(since), runs.c.created_at >= since)
        .group_by("slot", runs.c.state)
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    counts: dict[tuple[datetime, RunState], int] = {}
    for at, state, count in rows:
        key = (epoch + timedelta(seconds=int(at) * seconds), RunState(state))
        counts[key] = counts.get(key, 0) + count
    return counts


def by_state(tx: Transaction) -> dict[RunState, int]:
    """Return the number of all recorded runs by state, as maintained by triggers; no rows are counted."""
    rows = tx.connection.execute(
        select(run_counts.c.state, run_counts.c.count).where(run_counts.c.project == tx.project, run_counts.c.count > 0)
    )
    return {RunState(state): count for state, count in rows}


def failures(tx: Transaction, since: datetime, limit: int) -> list[Failures]:
    """Return the deployments with the most failed runs since then, at most `limit`."""
    count = func.count()
    # Force the index by state: recently failed runs are few, while all runs of each deployment are many.
    name = without_index(runs.c.deployment)
    rows = tx.connection.execute(
        select(name, count, func.max(runs.c.id), func.max(runs.c.created_at))
        .where(
            runs.c.project == tx.project,
            runs.c.id >= first_id(since),
            runs.c.created_at >= since,
            runs.c.state.in_([state.value for state in FAILURES]),
        )
        .group_by(name)
        .order_by(count.desc(), name)
        .limit(limit)
    )
    return [Failures(deployment=name, count=number, last_run_id=last, last_at=at) for name, number, last, at in rows]


def failures_by_revision(tx: Transaction, limit: int = 2000) -> dict[str, int]:
    """Return the number of failed runs of each revision, counting at most `limit` of the newest in each final state."""
    newest = [
        select(
            select(runs.c.revision)
            .where(runs.c.project == tx.project, runs.c.state == state.value)
            .order_by(runs.c.id.desc())
            .limit(limit)
            .subquery()
        )
        for state in sorted(FAILURES)
    ]
    failed = union_all(*newest).subquery()
    rows = tx.connection.execute(select(failed.c.revision, func.count().label("failures")).group_by(failed.c.revision))
    return {row.revision: row.failures for row in rows}


def failure_streaks(tx: Transaction, deployments: Collection[str]) -> dict[str, FailureStreak]:
    """Return the consecutive failures of each of these deployments whose last finished run failed, with one query.

    Skipped runs are ignored. This reads the runs of the streaks and one more per deployment.
    """
    names = select(elements(deployments).c.value.label("name"))
    named = names.cte("named").prefix_with("MATERIALIZED")
    is_end = runs.c.state.in_([RunState.SUCCEEDED.value, RunState.CANCELLED.value])
    before = (
        select(runs.c.id)
        .where(runs.c.project == tx.project, runs.c.deployment == named.c.name, is_end)
        .order_by(runs.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    ends = select(named.c.name, func.coalesce(before, "").label("id")).cte("ends").prefix_with("MATERIALIZED")
    is_failure = runs.c.state.in_([state.value for state in FAILURES])
    ended_at = func.coalesce(runs.c.finished_at, runs.c.created_at)
    streaks = (
        select(func.count().label("failures"), func.min(ended_at).label("since"), func.max(runs.c.id).label("id"))
        .select_from(ends.join(runs, runs.c.deployment == ends.c.name))
        .where(runs.c.project == tx.project, runs.c.id > ends.c.id, is_failure)
        .group_by(ends.c.name)
        .subquery()
    )
    newest = runs.alias()
    rows = tx.connection.execute(
        select(
            newest.c.deployment, newest.c.id, newest.c.state, newest.c.reason, streaks.c.failures, streaks.c.since
        ).join_from(streaks, newest, newest.c.id == streaks.c.id)
    )
    return {
        row.deployment: FailureStreak(
            count=row.failures, since=row.since, run_id=RunId(row.id), state=RunState(row.state), reason=row.reason
        )
        for row in rows
    }


MAX_EXAMINED = 10_000
"""The number of newest runs of a deployment from which `reliability` is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessRate:
    """How many runs of a deployment that were created in the last `period` succeeded and failed; no others count."""

    period: timedelta
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Success rates by period, and how many seconds half (`p50`) and 95% (`p95`) of the successful runs took at most.

    The durations are those of the longest period, None if no run succeeded in it.
    """

    rates: tuple[SuccessRate, ...]
    p50: float | None
    p95: float | None


def reliability(tx: Transaction, deployment: str, now: datetime, periods: Sequence[timedelta]) -> Reliability:
    """Return how reliable a deployment is, from its newest `MAX_EXAMINED` runs in these periods up to `now`."""
    seconds = duration(runs.c.started_at, runs.c.finished_at)
    own = (runs.c.project == tx.project, runs.c.deployment == deployment, runs.c.id >= first_id(now - max(periods)))
    newest = select(runs.c.state, runs.c.created_at, case((seconds < 0, 0.0), else_=seconds).label("seconds")).where(
        *own
    )
    recent = newest.order_by(runs.c.id.desc()).limit(MAX_EXAMINED).cte("recent").prefix_with("MATERIALIZED")
    has_succeeded = recent.c.state == RunState.SUCCEEDED.value
    has_failed = recent.c.state.in_([state.value for state in FAILURES])
    counts = [
        func.coalesce(func.sum(case(((recent.c.created_at >= now - period) & has_ended, 1), else_=0)), 0)
        for period in periods
        for has_ended in (has_succeeded, has_failed)
    ]
    numbers = tx.connection.execute(select(*counts)).one()
    place = func.row_number().over(order_by=recent.c.seconds).label("place")
    ranked = select(recent.c.seconds, place, func.count().over().label("count")).where(
        has_succeeded, recent.c.seconds.is_not(None)
    )
    ranks = ranked.subquery()
    # The nearest rank of a percentile: the first duration that is at least as long as 50 or 95 percent of all.
    shares = [func.min(case((ranks.c.place * 100 >= ranks.c.count * percent, ranks.c.seconds))) for percent in (50, 95)]
    durations = tx.connection.execute(select(*shares)).one()
    rates = (
        SuccessRate(period=period, succeeded=numbers[2 * index], failed=numbers[2 * index + 1])
        for index, period in enumerate(periods)
    )
    return Reliability(rates=tuple(rates), p50=durations[0], p95=durations[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One run in a bar chart of the last runs: its state and its duration in seconds."""

    id: str
    state: RunState
    seconds: float | None


def last_bars_of(tx: Transaction, deployments: Collection[str], limit: int) -> dict[str, list[Bar]]:
    """Return the last `limit` runs of each of these deployments, oldest first, with one statement."""
    names = select(elements(deployments).c.value.label("name"))
    named = names.cte("named").prefix_with("MATERIALIZED")
    own_runs = runs.alias()
    newest = (
        select(own_runs.c.id)
        .where(own_runs.c.project == tx.project, own_runs.c.deployment == named.c.name)
        .order_by(own_runs.c.id.desc())
        .limit(limit)
        .correlate(named)
    )
    query = select(named.c.name, runs.c.id, runs.c.state, runs.c.started_at, runs.c.finished_at)
    bars: dict[str, list[Bar]] = {}
    for row in tx.connection.execute(query.join_from(named, runs, runs.c.id.in_(newest)).order_by(runs.c.id)):
        seconds = _duration(row.started_at, row.finished_at)
        bars.setdefault(row.name, []).append(Bar(id=row.id, state=RunState(row.state), seconds=seconds))
    return bars


def last_sizes(tx: Transaction, deployment: str, limit: int) -> Sequence[int]:
    """Return the characters of the parameters and the result of the last `limit` runs of a deployment, newest first."""
    size = func.length(cast(runs.c.parameters, Text)) + func.coalesce(func.length(cast(runs.c.result, Text)), 0)
    own = (runs.c.project == tx.project, runs.c.deployment == deployment)
    return tx.connection.execute(select(size).where(*own).order_by(runs.c.id.desc()).limit(limit)).scalars().all()


def _duration(started_at: datetime | None, finished_at: datetime | None) -> float | None:
    """Return the duration in seconds; never negative, even if the clock was set back meanwhile."""
    return max(0.0, (finished_at - started_at).total_seconds()) if started_at and finished_at else None
