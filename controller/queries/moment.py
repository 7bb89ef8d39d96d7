"""The data that the rows of all deployments share, such as the status of the source, the holds and the current time."""

from collections.abc import Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from controller.model.notifications import MissedDeadline
from controller.model.status import ExecutorStatus, Hold, SourceStatus
from controller.model.triggers import WatchProblem
from controller.queries.next_starts import NextFireTimes
from controller.records import dataclass
from controller.store import Transaction, deadlines, executor_records, holds, seen_files, source_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The data that all rows share: the status of the source, the active holds, and the current time.

    `missed` has the missed deadlines that are not met yet, and `unwatched` the problems of watched folders, by
    deployment. `executors` are those of the controller. `fire_times` are those after `now`.
    """

    source: SourceStatus | None
    holds: Mapping[str, Hold]
    now: datetime
    missed: Mapping[str, tuple[MissedDeadline, ...]]
    unwatched: Mapping[str, tuple[WatchProblem, ...]]
    executors: Mapping[str, ExecutorStatus]
    fire_times: NextFireTimes


def read_moment(tx: Transaction, now: datetime) -> Moment:
    """Read the data that all rows share at this time."""
    active = {name: hold for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
    missed = {name: tuple(misses) for name, misses in groupby(deadlines.find_missed(tx), key=attrgetter("deployment"))}
    problems = groupby(seen_files.find_problems(tx), key=attrgetter("deployment"))
    unwatched = {name: tuple(each) for name, each in problems}
    return Moment(
        source=source_status.find(tx),
        holds=active,
        now=now,
        missed=missed,
        unwatched=unwatched,
        executors=executor_records.find_all(tx),
        fire_times=NextFireTimes(now),
    )
