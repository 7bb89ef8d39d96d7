"""The history of one deployment for its page: its runs, the due times skipped between them, and changed parameters."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby, pairwise

from controller.model.runs import Occurrence, Outcome, Run
from controller.queries.occurrences import list_occurrences
from controller.queries.run_diff import ParameterChange, parameter_changes
from controller.records import dataclass
from controller.store import Transaction, run_statistics
from controller.store.run_search import RunFilter, select_all

MOST_DUE_TIMES = 100
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A run, or due times in succession that were skipped for the same reason and have no run, newest first.

    `can_repeat`: the run is the newest one of its due time, and has finished.
    """

    run: Run | None = None
    can_repeat: bool = False
    skipped: tuple[Occurrence, ...] = ()

    @property
    def at(self) -> datetime:
        """When the run was created, or the newest of the skipped due times."""
        return self.skipped[0].scheduled_for if self.run is None else self.run.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterStep:
    """A run whose parameters differ from those of the run before it, followed by `repeats` runs with the same ones.

    The oldest run that is compared has no `changes`, and `is_first` is set.
    """

    run: Run
    changes: tuple[ParameterChange, ...]
    repeats: int
    is_first: bool


def list_history(tx: Transaction, name: str, runs: Sequence[Run], *, is_complete: bool) -> list[HistoryRow]:
    """Return these newest runs of an active deployment, newest first, with the due times skipped since the oldest one.

    With `is_complete`, `runs` are all runs, and earlier skipped due times are included, too.
    """
    since = None if is_complete or not runs else runs[-1].created_at
    due_times = list_occurrences(tx, name, MOST_DUE_TIMES, since=since)
    skipped = [due for due in due_times if due.outcome is Outcome.SKIPPED and not due.runs]
    seen: set[datetime] = set()
    rows = [HistoryRow(run=run, can_repeat=_can_repeat(run, seen)) for run in runs]
    rows += (HistoryRow(skipped=(due,)) for due in skipped)
    rows.sort(key=lambda row: row.at, reverse=True)
    return list(_merge(rows))


def _can_repeat(run: Run, seen: set[datetime]) -> bool:
    if run.scheduled_for is None or run.scheduled_for in seen:
        return False
    seen.add(run.scheduled_for)
    return run.state.is_terminal


def _merge(rows: Sequence[HistoryRow]) -> Iterator[HistoryRow]:
    """Yield the rows; due times in succession that were skipped for the same reason become one row."""
    for (is_run, _), group in groupby(rows, key=lambda row: (row.run is not None, _reason(row))):
        if is_run:
            yield from group
        else:
            yield HistoryRow(skipped=tuple(due for row in group for due in row.skipped))


def _reason(row: HistoryRow) -> str | None:
    return row.skipped[0].reason if row.skipped else None


def list_parameter_steps(tx: Transaction, name: str, limit: int) -> tuple[list[ParameterStep], int]:
    """Return the changes of parameters in the newest `limit` runs, newest first, and the number of runs compared.

    Fewer runs are compared if their parameters and results exceed `MOST_BYTES`, but at least one.
    """
    total, count = 0, 0
    for size in run_statistics.last_sizes(tx, name, limit):
        total += size
        if count and total > MOST_BYTES:
            break
        count += 1
    runs = select_all(tx, RunFilter(deployment=name), count) if count else []
    changes = [tuple(parameter_changes(before.parameters, run.parameters)) for run, before in pairwise(runs)]
    steps: list[ParameterStep] = []
    repeats = 0
    for index, run in enumerate(runs):
        is_first = index == len(runs) - 1
        own = () if is_first else changes[index]
        if own or is_first:
            # Runs that repeat these parameters are newer, so they come before this one.
            steps.append(ParameterStep(run=run, changes=own, repeats=repeats, is_first=is_first))
            repeats = 0
        else:
            repeats += 1
    return steps, len(runs)
