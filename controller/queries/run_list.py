"""The Runs page: its rows, with commit, name and usual duration, and a summary of all runs that match the filters.

The cost of both does not depend on the length of the history: see `controller.store.run_search`.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median

from controller.model import extend
from controller.model.commits import commit_id
from controller.model.runs import ListedRun, Run, RunState
from controller.records import dataclass
from controller.store import Transaction, commits, run_statistics, runs, task_trees
from controller.store.run_search import RunFilter, RunPoint, count_matching, newest_points

TYPICAL_RUNS = 20
"""The number of last runs of a deployment that its usual duration is computed from."""
MAX_POINTS = 500
"""The number of newest matches that the success rate, the median and the chart show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """All runs that match.

    - `count`: their number; a lower bound unless `is_exact`.
    - `points`: the newest of them, at most 500, oldest first.
    - `succeeded` of `finished`: how many of the points succeeded, of those that finished and were neither skipped nor
      cancelled.
    - `median_seconds`: the median duration of the points that finished; None without any.
    """

    count: int
    is_exact: bool
    points: tuple[RunPoint, ...]
    succeeded: int
    finished: int
    median_seconds: float | None


def add_details(tx: Transaction, matches: Sequence[Run]) -> list[ListedRun]:
    """Return these runs with commit, name and usual duration, in three statements."""
    if not matches:
        return []
    by_sha = commits.find_all(tx, {run.revision for run in matches})
    names = task_trees.find_names(tx, [run.id for run in matches])
    typical = typical_seconds(tx, {run.deployment for run in matches})
    return [
        extend(
            ListedRun,
            replace(run, name=names.get(run.id, run.name)),
            commit=by_sha.get(commit_id(run.revision)),
            typical_seconds=typical.get(run.deployment),
        )
        for run in matches
    ]


def typical_seconds(tx: Transaction, deployments: Collection[str]) -> dict[str, float]:
    """Return the median duration of the successful ones of the last 20 runs of each of these deployments."""
    durations = {
        name: [bar.seconds for bar in bars if bar.state is RunState.SUCCEEDED and bar.seconds is not None]
        for name, bars in run_statistics.last_bars_of(tx, deployments, TYPICAL_RUNS).items()
    }
    return {name: median(values) for name, values in durations.items() if values}


def summarize_matches(tx: Transaction, criteria: RunFilter, now: datetime) -> RunSummary:
    """Count the runs that match, and describe the newest 500 of them. A running run has taken the time until `now`."""
    count, is_exact = _count(tx, criteria)
    newest = newest_points(tx, criteria, limit=MAX_POINTS)
    repeated = [point.id for point in newest if point.attempt > 1]
    times = runs.attempt_times(tx, repeated) if repeated else {}
    points = [replace(point, seconds=_seconds(point, times.get(point.id, []), now)) for point in newest]
    states = [point.state for point in points if point.state.is_terminal]
    finished = [state for state in states if state not in (RunState.SKIPPED, RunState.CANCELLED)]
    durations = [point.seconds for point in points if point.seconds is not None and point.state.is_terminal]
    return RunSummary(
        count=count,
        is_exact=is_exact,
        points=tuple(points[::-1]),
        succeeded=finished.count(RunState.SUCCEEDED),
        finished=len(finished),
        median_seconds=median(durations) if durations else None,
    )


def longest_runs(tx: Transaction, points: Sequence[RunPoint], limit: int) -> list[Run]:
    """Return the runs of those `limit` points that took the longest, the longest first."""
    longest = sorted(points, key=lambda point: (point.seconds or 0.0, point.id), reverse=True)[:limit]
    stored = runs.find_all(tx, [point.id for point in longest])
    return [stored[point.id] for point in longest]


def _seconds(point: RunPoint, attempts: Sequence[tuple[datetime, datetime | None]], now: datetime) -> float | None:
    """Return how long the attempts took; None before the first. `attempts` is empty for a run with one attempt."""
    if point.started_at is None:
        return None
    spans = attempts or [(point.started_at, point.finished_at)]
    return sum(max(0.0, ((end or point.finished_at or now) - start).total_seconds()) for start, end in spans)


def _count(tx: Transaction, criteria: RunFilter) -> tuple[int, bool]:
    """Count the matches. Triggers of the database count the runs of each state, so that this is exact for states."""
    if criteria == RunFilter(states=criteria.states):
        counts = run_statistics.by_state(tx)
        return sum(counts.get(state, 0) for state in criteria.states or counts), True
    return count_matching(tx, criteria)
