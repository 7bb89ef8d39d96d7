"""A summary of the status in a few numbers, and the runs of the last 24 hours. The live view shows both in its head."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from controller.model.commits import Commit
from controller.model.findings import Severity
from controller.model.graph import EdgeKind
from controller.model.runs import FAILURES, RunState
from controller.model.status import Condition, SourceStatus
from controller.queries.deployments import DeploymentView
from controller.queries.fire_timeline import DAY, SLOT, floor
from controller.queries.status import ControllerView, with_notices
from controller.records import dataclass
from controller.store import Transaction, commits, run_statistics, runs

_SOON = timedelta(minutes=1)
_AFTER_NAMES = "~"
"""Sorts after all names of deployments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextFire:
    """When the next run of a deployment starts: its next fire time, or before it if jitter delays a run."""

    deployment: str
    fire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSummary:
    """The status in a few numbers.

    - `revision`: the last applied one, and `commit` its commit.
    - `conditions`: those of the source, and those that can't be recorded in the database.
    - `invalid`: the number of deployments and files that can't be applied.
    - `withheld`: the number of deletions that wait for approval.
    - `attention`: the number of problems that `/api/v1/attention` lists.
    - `pending`, `running`, `retrying`: unfinished runs by state.
    - `due_soon`: the number of deployments that fire within a minute, `next_fire` the first of them or else of all,
      and `later_fire` the first one after that minute.
    - `triggers`: what starts runs besides the schedules: `event` (other deployments), `file` and `webhook`.
    """

    controller: ControllerView
    repo: str
    ref: str | None
    environment: str | None
    revision: str | None
    commit: Commit | None
    conditions: tuple[Condition, ...]
    invalid: int
    withheld: int
    attention: int
    deployments: int
    running: int
    pending: int
    retrying: int
    due_soon: int
    next_fire: NextFire | None
    later_fire: NextFire | None
    triggers: tuple[EdgeKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The finished runs that were created in one half hour, by outcome. `other` counts cancelled and skipped runs."""

    start: datetime
    succeeded: int
    failed: int
    other: int


def summarize_status(
    tx: Transaction,
    controller: ControllerView,
    source: SourceStatus,
    notices: Sequence[Condition],
    views: Sequence[DeploymentView],
    problems: int,
    now: datetime,
) -> StatusSummary:
    """Summarize the status from all deployments.

    `notices` are the conditions that can't be recorded, `problems` is the number of those that need attention.
    """
    counts = runs.counts(tx)
    fires = sorted((view.next_start, view.name) for view in views if view.next_start is not None)
    soon = bisect_right(fires, (now + _SOON, _AFTER_NAMES))
    later = fires[soon : soon + 1]
    return StatusSummary(
        controller=controller,
        repo=source.repo,
        ref=source.ref,
        environment=source.environment,
        revision=source.last_applied_revision,
        commit=commits.find(tx, source.last_applied_revision),
        conditions=with_notices(source.conditions, notices),
        invalid=_count_invalid(source),
        withheld=0 if source.withheld is None else len(source.withheld.deployments),
        attention=problems,
        deployments=len(views),
        running=counts.get(RunState.RUNNING, 0),
        pending=counts.get(RunState.PENDING, 0) + counts.get(RunState.LAUNCHING, 0),
        retrying=counts.get(RunState.RETRYING, 0),
        due_soon=soon,
        next_fire=_first(fires),
        later_fire=_first(later),
        triggers=tuple(sorted({kind for view in views if not view.suspended for kind in view.triggers})),
    )


def last_day(tx: Transaction, now: datetime) -> list[Activity]:
    """Return the activity of the last 24 hours, oldest first, also of half hours without runs."""
    first = floor(now - DAY)
    counts = run_statistics.by_slot(tx, first, SLOT)
    return [_activity(counts, first + index * SLOT) for index in range(int(DAY / SLOT) + 1)]


def _activity(counts: dict[tuple[datetime, RunState], int], start: datetime) -> Activity:
    ended = Counter({state: counts.get((start, state), 0) for state in RunState if state.is_terminal})
    succeeded, failed = ended[RunState.SUCCEEDED], sum(ended[state] for state in FAILURES)
    return Activity(start=start, succeeded=succeeded, failed=failed, other=ended.total() - succeeded - failed)


def _count_invalid(source: SourceStatus) -> int:
    errors = [finding for finding in source.findings if finding.severity is Severity.ERROR]
    return len({finding.deployment or finding.file for finding in errors})


def _first(fires: Sequence[tuple[datetime, str]]) -> NextFire | None:
    return NextFire(deployment=fires[0][1], fire_time=fires[0][0]) if fires else None
