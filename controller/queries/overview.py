"""The overview page: problems that need attention, running flows, backfills, failures, and the next fire times.

Its timeline has half-hour slots: the runs of the last 24 hours by outcome, and the fire times of the next 24 hours.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from controller.model.backfills import BackfillProgress
from controller.model.findings import Severity
from controller.model.python_environments import BUILDING
from controller.model.runs import FAILURES, RunState
from controller.model.status import INVALID, WITHHELD, ConditionType, SourceStatus
from controller.queries.backfills import list_unfinished
from controller.queries.deployments import DeploymentView, Rank, errors_of_never_valid, find_streak, rank
from controller.queries.fire_timeline import DAY, SLOT, floor
from controller.queries.in_progress import InProgress, find_in_progress
from controller.store import Transaction, run_statistics, source_status
from controller.store.run_statistics import Failures

MOST_ATTENTION = 20
MOST_ROWS = 10
MOST_BACKFILLS = 5


class AttentionCode(StrEnum):
    """The kind of a problem that needs attention."""

    WITHHELD = "withheld"
    SOURCE = "source"
    INVALID_FILE = "invalid_file"
    INVALID_DEPLOYMENT = "invalid_deployment"
    NO_PYTHON = "no_python"
    FAILED_RUN = "failed_run"
    LATE = "late"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One problem that needs attention. `kind` is `error` or `warning`; `deployment` and `run_id` say where it is."""

    code: AttentionCode
    kind: str
    title: str
    message: str
    deployment: str | None = None
    run_id: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Half an hour of the timeline: its runs by outcome, and the approximate number of its fire times."""

    start: datetime
    succeeded: int
    failed: int
    other: int
    upcoming: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The content of the overview page. `more_attention` and `more_backfills` count what is not listed."""

    attention: tuple[Attention, ...]
    more_attention: int
    in_progress: InProgress
    backfills: tuple[BackfillProgress, ...]
    more_backfills: int
    next_fires: tuple[DeploymentView, ...]
    failures: tuple[Failures, ...]
    slots: tuple[Slot, ...]
    now: datetime
    succeeded: int
    failed: int
    deployments: int


def overview(tx: Transaction, views: list[DeploymentView], now: datetime, future: Mapping[datetime, float]) -> Overview:
    """Build the overview from all deployments. `future` has the number of fire times by slot in the next 24 hours."""
    problems = list(_attention(source_status.find(tx), views))
    slots = tuple(_slots(tx, future, now))
    backfills, more_backfills = list_unfinished(tx, MOST_BACKFILLS)
    fires = heapq.nsmallest(MOST_ROWS, (view for view in views if view.next_start is not None), key=_next_start)
    return Overview(
        attention=tuple(problems[:MOST_ATTENTION]),
        more_attention=max(0, len(problems) - MOST_ATTENTION),
        in_progress=find_in_progress(tx, now, MOST_ROWS),
        backfills=tuple(backfills),
        more_backfills=more_backfills,
        next_fires=tuple(fires),
        failures=tuple(run_statistics.failures(tx, now - DAY, MOST_ROWS)),
        slots=slots,
        now=now,
        succeeded=sum(slot.succeeded for slot in slots),
        failed=sum(slot.failed for slot in slots),
        deployments=len(views),
    )


def _attention(source: SourceStatus | None, views: Iterable[DeploymentView]) -> Iterator[Attention]:
    """Yield the problems in the order of `rank`: those of the source and of all its files first."""
    yield from _source(source)
    errors = errors_of_never_valid(source, ())
    by_rank = {place: list(members) for place, members in groupby(views, key=rank)}
    for view in by_rank.get(Rank.INVALID, ()):
        finding = errors.get(view.name)
        error = "it has never been valid" if finding is None else f"{finding.file}:{finding.line}: {finding.message}"
        ready = next((condition.message for condition in view.conditions if condition.type == "Ready"), "")
        title = f"{view.name} is not valid"
        code = AttentionCode.INVALID_DEPLOYMENT
        yield Attention(code=code, kind="error", title=title, message=ready or error, deployment=view.name)
    yield from filter(None, map(_failing, by_rank.get(Rank.FAILING, ())))
    for view in views:
        python = next(
            (condition for condition in view.conditions if condition.type is ConditionType.PYTHON_READY), None
        )
        if python is not None and not python.is_true and python.reason != BUILDING:
            yield Attention(
                code=AttentionCode.NO_PYTHON,
                kind="error",
                title=f"{view.name} waits for its Python environment",
                message=f"{python.reason}: {python.message}",
                deployment=view.name,
                since=python.last_transition_time,
            )
    yield from _withheld(source)
    for view in by_rank.get(Rank.LATE, ()):
        assert view.last_run is not None
        yield Attention(
            code=AttentionCode.LATE,
            kind="warning",
            title=f"{view.name}: a run is late",
            message="It has not started although the next due time has passed.",
            deployment=view.name,
            since=view.last_run.scheduled_for,
        )
    for view in views:
        if view.hold is not None:
            yield Attention(
                code=AttentionCode.HELD,
                kind="warning",
                title=f"{view.name} is held",
                message=f"{view.hold.author}: {view.hold.reason}",
                deployment=view.name,
                since=view.hold.since,
            )


def _failing(view: DeploymentView) -> Attention | None:
    streak = find_streak(view)
    if streak is None or view.last_run is None:
        return None
    runs = "the last run" if streak.count == 1 else f"the last {streak.count} runs"
    later = ", and later ones were skipped" if view.last_run.state is RunState.SKIPPED else ""
    return Attention(
        code=AttentionCode.FAILED_RUN,
        kind="error",
        title=f"{view.name}: {runs} {streak.state.replace('_', ' ') if streak.count == 1 else 'failed'}{later}",
        message=streak.reason or "",
        deployment=view.name,
        run_id=streak.run_id,
        since=streak.since,
    )


def _withheld(source: SourceStatus | None) -> Iterator[Attention]:
    if source is not None and source.withheld is not None:
        count = len(source.withheld.deployments)
        since = {condition.type: condition.last_transition_time for condition in source.conditions}
        yield Attention(
            code=AttentionCode.WITHHELD,
            kind="warning",
            title=f"{count} deletion{' is' if count == 1 else 's are'} waiting for approval",
            message=f"{source.withheld.reason[:1].upper()}{source.withheld.reason[1:]}.",
            since=since.get(ConditionType.PRUNE_WITHHELD),
        )


def _source(source: SourceStatus | None) -> Iterator[Attention]:
    if source is None:
        return
    for condition in source.conditions:
        is_failure = condition.type is ConditionType.READY and not condition.is_true
        is_stalled = condition.type is ConditionType.STALLED and condition.is_true
        if (is_failure or is_stalled) and condition.reason not in (WITHHELD, INVALID):
            yield Attention(
                code=AttentionCode.SOURCE,
                kind="error",
                title=f"Source: {condition.reason}",
                message=condition.message,
            )
    for finding in source.findings:
        if finding.severity is Severity.ERROR and finding.deployment is None:
            title = f"{finding.file}:{finding.line} can't be applied"
            yield Attention(code=AttentionCode.INVALID_FILE, kind="error", title=title, message=finding.message)


def _next_start(view: DeploymentView) -> tuple[datetime, str]:
    assert view.next_start is not None
    return view.next_start, view.name


def _slots(tx: Transaction, future: Mapping[datetime, float], now: datetime) -> Iterator[Slot]:
    first = floor(now - DAY)
    past = run_statistics.by_slot(tx, first, SLOT)
    for index in range(int(2 * DAY / SLOT) + 1):
        start = first + index * SLOT
        ended = Counter({state: past.get((start, state), 0) for state in RunState})
        succeeded, failed = ended[RunState.SUCCEEDED], sum(ended[state] for state in FAILURES)
        yield Slot(
            start=start,
            succeeded=succeeded,
            failed=failed,
            other=ended.total() - succeeded - failed,
            upcoming=round(future.get(start, 0)),
        )
