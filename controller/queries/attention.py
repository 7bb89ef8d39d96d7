"""The problems that need attention: of the source, of files and of deployments, in the order of `rank`.

The overview page of the dashboard and the live view on the terminal show them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from controller.model.findings import Severity
from controller.model.notifications import ChannelState
from controller.model.python_environments import BUILDING
from controller.model.runs import RunState
from controller.model.status import (
    INVALID,
    WITHHELD,
    Condition,
    ConditionStatus,
    ConditionType,
    ExecutorStatus,
    SourceStatus,
)
from controller.queries.deployments import DeploymentView, Rank, errors_of_never_valid, find_streak, rank
from controller.queries.notifications import NotificationStatus
from controller.records import dataclass
from controller.store import Transaction, run_statistics
from controller.text import format_count

RECENT = 10
_UNKNOWN_UPSTREAM = "UnknownUpstream"


class AttentionCode(StrEnum):
    """The kind of a problem."""

    WITHHELD = "withheld"
    SOURCE = "source"
    CHANNEL = "channel"
    INVALID_FILE = "invalid_file"
    INVALID_DEPLOYMENT = "invalid_deployment"
    NO_PYTHON = "no_python"
    NO_UPSTREAM = "no_upstream"
    NO_FILES = "no_files"
    NO_EXECUTOR = "no_executor"
    EXECUTOR = "executor"
    FAILED_RUN = "failed_run"
    LATE = "late"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One problem that needs attention. `kind` is `error` or `warning`; `deployment` and `run_id` say where it is.

    - `subject`: what has the problem: a deployment, a file with the line, or `source`.
    - `count`: the number of consecutive failures, or of deletions that wait for approval.
    - `next_fire_time`: the next fire time of the deployment.
    - `recent`: the states of its last 10 runs, oldest first.
    """

    code: AttentionCode
    kind: str
    title: str
    message: str
    subject: str
    deployment: str | None = None
    run_id: str | None = None
    since: datetime | None = None
    count: int = 1
    next_fire_time: datetime | None = None
    recent: tuple[RunState, ...] = ()


def find_attention(
    source: SourceStatus | None,
    views: Sequence[DeploymentView],
    notifications: NotificationStatus | None = None,
    executors: Iterable[ExecutorStatus] = (),
) -> Iterator[Attention]:
    """Yield the problems in the order of `rank`: those of the source, its files, executors and notifications first.

    The deployments must be in the order of `sort_key`, problems first. Those that `may_need_attention` suffice.
    """
    yield from _source(source)
    yield from map(_unreachable, (status for status in executors if status.ready.status is ConditionStatus.FALSE))
    if notifications is not None:
        yield from _notifications(notifications)
    errors, only_upstreams = errors_of_never_valid(source, ()), _lacking_only_upstreams(source)
    urgent = views[: bisect_right(views, Rank.LATE, key=rank)]
    by_rank = {place: list(members) for place, members in groupby(urgent, key=rank)}
    for view in by_rank.get(Rank.INVALID, ()):
        if view.name in only_upstreams and _condition(view, ConditionType.STALLED) is not None:
            continue  # `_of_conditions` yields the problem
        finding = errors.get(view.name)
        never_valid = "it has never been valid"
        error = never_valid if finding is None else f"{finding.file}:{finding.line}: {finding.message}"
        ready = _condition(view, ConditionType.READY)
        yield _of_deployment(
            view,
            code=AttentionCode.INVALID_DEPLOYMENT,
            title=f"{view.name} is not valid",
            message=(None if ready is None else ready.message) or error,
            since=None if ready is None else ready.last_transition_time,
        )
    yield from filter(None, map(_failing, by_rank.get(Rank.FAILING, ())))
    for view in views:
        if any(condition.type in _OF_CONDITIONS for condition in view.conditions):
            yield from _of_conditions(view)
    yield from _withheld(source)
    for view in by_rank.get(Rank.LATE, ()):
        yield from _late(view)
    for view in views:
        if view.hold is not None:
            yield _of_deployment(
                view,
                code=AttentionCode.HELD,
                kind="warning",
                title=f"{view.name} is held",
                message=f"{view.hold.author}: {view.hold.reason}",
                since=view.hold.since,
            )


def may_need_attention(view: DeploymentView) -> bool:
    """Return whether `find_attention` may yield a problem of this deployment."""
    has_condition = any(condition.type in _OF_CONDITIONS for condition in view.conditions)
    return has_condition or view.hold is not None or rank(view) <= Rank.LATE


def _lacking_only_upstreams(source: SourceStatus | None) -> set[str | None]:
    """Return the deployments whose only errors are upstream deployments that are not declared."""
    errors = [finding for finding in (source.findings if source else ()) if finding.severity is Severity.ERROR]
    others = {finding.deployment for finding in errors if finding.code != _UNKNOWN_UPSTREAM}
    return {finding.deployment for finding in errors} - others


_OF_CONDITIONS = {
    ConditionType.PYTHON_READY: (AttentionCode.NO_PYTHON, "{name} waits for its Python environment"),
    ConditionType.STALLED: (AttentionCode.NO_UPSTREAM, "{name} waits for a deployment that is not active"),
    ConditionType.FILES_WATCHED: (AttentionCode.NO_FILES, "Files start no runs of {name}"),
    ConditionType.EXECUTOR_READY: (
        AttentionCode.NO_EXECUTOR,
        "{name} waits for an executor that the controller does not have",
    ),
}
"""The problems of deployments that are known from a condition, with their titles."""
_WITH_REASON = (ConditionType.PYTHON_READY, ConditionType.FILES_WATCHED)


def _of_conditions(view: DeploymentView) -> Iterator[Attention]:
    """Yield the problems that a condition of the deployment names."""
    for kind, (code, title) in _OF_CONDITIONS.items():
        condition = _condition(view, kind)
        if condition is None:
            continue
        if kind is ConditionType.PYTHON_READY and (condition.is_true or condition.reason == BUILDING):
            continue
        yield _of_deployment(
            view,
            code=code,
            title=title.format(name=view.name),
            message=f"{condition.reason}: {condition.message}" if kind in _WITH_REASON else condition.message,
            since=condition.last_transition_time,
        )


def with_recent_runs(tx: Transaction, items: Sequence[Attention]) -> list[Attention]:
    """Return these items with the states of the last runs of their deployments."""
    bars = run_statistics.last_bars_of(tx, {item.deployment for item in items if item.deployment is not None}, RECENT)
    return [
        replace(item, recent=tuple(bar.state.public for bar in bars.get(item.deployment or "", ()))) for item in items
    ]


def _condition(view: DeploymentView, kind: ConditionType) -> Condition | None:
    return next((condition for condition in view.conditions if condition.type is kind), None)


def _failing(view: DeploymentView) -> Attention | None:
    streak = find_streak(view)
    if streak is None or view.last_run is None:
        return None
    runs = "the last run" if streak.count == 1 else f"the last {streak.count} runs"
    later = ", and later ones were skipped" if view.last_run.state is RunState.SKIPPED else ""
    return _of_deployment(
        view,
        code=AttentionCode.FAILED_RUN,
        title=f"{view.name}: {runs} {streak.state.replace('_', ' ') if streak.count == 1 else 'failed'}{later}",
        message=streak.reason or "",
        run_id=streak.run_id,
        since=streak.since,
        count=streak.count,
    )


def _late(view: DeploymentView) -> Iterator[Attention]:
    """Yield the deadlines that the deployment missed, or else that its newest run waits beyond the next due time."""
    titles = {
        ConditionType.LATE: f"{view.name}: a run is late",
        ConditionType.OVERDUE: f"{view.name} is overdue",
    }
    missed = [condition for condition in view.conditions if condition.type in titles]
    for condition in missed:
        yield _of_deployment(
            view,
            code=AttentionCode.LATE,
            kind="warning",
            title=titles[condition.type],
            message=condition.message,
            since=condition.last_transition_time,
        )
    if not missed:
        run = view.last_run
        waits_for = None if run is None else run.waits_for
        late = "It has not started, and a later due time has passed already."
        yield _of_deployment(
            view,
            code=AttentionCode.LATE,
            kind="warning",
            title=f"{view.name}: a run is late",
            message=late if waits_for is None else f"It waits for {waits_for}.",
            since=None if run is None else run.scheduled_for,
        )


def _of_deployment(view: DeploymentView, *, kind: str = "error", **values: Any) -> Attention:
    return Attention(kind=kind, subject=view.name, deployment=view.name, next_fire_time=view.next_fire_time, **values)


def _withheld(source: SourceStatus | None) -> Iterator[Attention]:
    if source is not None and source.withheld is not None:
        count = len(source.withheld.deployments)
        since = {condition.type: condition.last_transition_time for condition in source.conditions}
        yield Attention(
            code=AttentionCode.WITHHELD,
            kind="warning",
            title=f"{count} deletion{' is' if count == 1 else 's are'} waiting for approval",
            message=f"{source.withheld.reason[:1].upper()}{source.withheld.reason[1:]}.",
            subject=format_count(count, "deployment"),
            count=count,
            since=since.get(ConditionType.PRUNE_WITHHELD),
        )


def _unreachable(status: ExecutorStatus) -> Attention:
    """Return the problem that the cluster of an executor does not answer."""
    return Attention(
        code=AttentionCode.EXECUTOR,
        kind="error",
        title=f"Executor {status.name}: {status.ready.reason}",
        message=status.ready.message,
        subject=f"executor {status.name}",
        since=status.ready.last_transition_time,
    )


def _notifications(status: NotificationStatus) -> Iterator[Attention]:
    if status.problem is not None:
        yield Attention(
            code=AttentionCode.CHANNEL,
            kind="error",
            title="The new version of notify.yaml is not used",
            message=" ".join(filter(None, (status.problem.message, status.problem.hint))),
            subject="notify.yaml",
            since=status.problem.since,
        )
    for channel in status.unusable:
        is_failing = channel.state is ChannelState.FAILING
        yield Attention(
            code=AttentionCode.CHANNEL,
            kind="error",
            title=f"Channel {channel.name}: the last delivery failed"
            if is_failing
            else f"Channel {channel.name} is misconfigured",
            message=channel.message,
            subject=f"channel {channel.name}",
            since=channel.since,
        )
    if status.undeliverable:
        yield Attention(
            code=AttentionCode.CHANNEL,
            kind="warning",
            title=f"{format_count(status.undeliverable, 'message')} could not be delivered",
            message="They are listed by controller notify log --undelivered, and counted for 7 days.",
            subject="messages",
            count=status.undeliverable,
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
                subject="source",
                since=condition.last_transition_time,
            )
    for finding in source.findings:
        if finding.severity is Severity.ERROR and finding.deployment is None:
            place = f"{finding.file}:{finding.line}"
            yield Attention(
                code=AttentionCode.INVALID_FILE,
                kind="error",
                title=f"{place} can't be applied",
                message=finding.message,
                subject=place,
            )
