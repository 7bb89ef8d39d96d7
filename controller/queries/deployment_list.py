"""The rows of the Deployments page: the state of each deployment in one word, since when, why, and its last runs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from controller.model.graph import EdgeKind
from controller.model.names import name_order
from controller.model.runs import RunState
from controller.model.schedules import Schedule
from controller.model.status import ConditionType, SourceStatus
from controller.queries.attention import RECENT, Attention, find_attention
from controller.queries.deployments import DeploymentState, DeploymentView, Health, Sync, rank
from controller.records import dataclass
from controller.schedules import describe
from controller.store import Transaction, run_statistics
from controller.store.run_statistics import Bar

_NEVER = datetime.min.replace(tzinfo=UTC)
_STARTS = {
    EdgeKind.EVENT: "starts after other deployments",
    EdgeKind.FILE: "starts for new files",
    EdgeKind.WEBHOOK: "starts for requests to a webhook",
}
_FOREVER = datetime.max.replace(tzinfo=UTC)


class DeploymentSort(StrEnum):
    """The orders of lists: problems first, by name, by next start, and by last run, the newest first."""

    PROBLEMS = "problems"
    NAME = "name"
    NEXT = "next"
    LAST_RUN = "last-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """One deployment with descriptions of its schedules and its last 10 runs, oldest first.

    - `state`: its state in one word; `running` or `waiting` if it has no problem and a run is in progress.
    - `since`, `why`: when the problem began and its cause, if it has one; without one, what its run waits for.
    - `schedules`: descriptions of its schedules; without any, what else starts its runs.
    - `zone`: the time zone of the first schedule, empty without schedules.
    """

    view: DeploymentView
    state: str
    since: datetime | None
    why: str
    schedules: tuple[str, ...]
    zone: str
    bars: tuple[Bar, ...]


def matching(
    views: Sequence[DeploymentView],
    *,
    search: str,
    tag: str | None,
    sync: Sync | None,
    health: Health | None,
    document: str | None = None,
) -> list[DeploymentView]:
    """Return the deployments that match all filters. `document` is a file, or a file, a colon and a line."""
    text = search.strip().lower()
    return [
        view
        for view in views
        if (tag is None or tag in view.tags)
        and (sync is None or view.sync is sync)
        and (health is None or view.health is health)
        and (document is None or document in (view.file, view.document))
        and (not text or text in f"{view.name} {view.flow} {view.description} {' '.join(view.tags)}".lower())
    ]


def sort_deployments(views: Sequence[DeploymentView], order: DeploymentSort) -> Sequence[DeploymentView]:
    """Return the deployments, given problems first, in this order."""
    match order:
        case DeploymentSort.NAME:
            return sorted(views, key=lambda view: name_order(view.name))
        case DeploymentSort.NEXT:
            return sorted(views, key=lambda view: view.next_start or _FOREVER)
        case DeploymentSort.LAST_RUN:
            return sorted(views, key=lambda view: view.last_run.created_at if view.last_run else _NEVER, reverse=True)
    return views


def deployment_rows(
    tx: Transaction,
    views: Sequence[DeploymentView],
    source: SourceStatus | None,
    schedules_of: Callable[[str], Sequence[Schedule]],
) -> list[DeploymentRow]:
    """Build the rows of these deployments, with one statement for the runs of all."""
    bars = run_statistics.last_bars_of(tx, [view.name for view in views], RECENT)
    problems: dict[str | None, Attention] = {}
    for item in find_attention(source, sorted(views, key=rank)):
        problems.setdefault(item.deployment, item)
    return [_row(view, problems.get(view.name), schedules_of(view.name), bars.get(view.name, ())) for view in views]


def _row(
    view: DeploymentView, problem: Attention | None, schedules: Sequence[Schedule], bars: Sequence[Bar]
) -> DeploymentRow:
    since, why = (problem.since, problem.message) if problem else _unapplied(view)
    run = view.last_run
    if not why and run is not None and run.waits_for is not None:
        why = f"waits for {run.waits_for}"
    texts = [describe(schedule) for schedule in schedules] or [_STARTS[kind] for kind in sorted(view.triggers)]
    return DeploymentRow(
        view=view,
        state=_state(view),
        since=since,
        why=why,
        schedules=tuple(texts),
        zone=schedules[0].timezone if schedules else "",
        bars=tuple(bars),
    )


def _state(view: DeploymentView) -> str:
    if view.health is not Health.RUNNING or view.state is not DeploymentState.OK:
        return view.state.value
    run = None if view.last_run is None else view.last_run.relevant
    return "running" if run is None or run.state is RunState.RUNNING else "waiting"


def _unapplied(view: DeploymentView) -> tuple[datetime | None, str]:
    """Return since when the active version differs from the one in git, and why."""
    ready = next((condition for condition in view.conditions if condition.type is ConditionType.READY), None)
    if ready is None or ready.is_true:
        return None, ""
    return ready.last_transition_time, ready.message or ready.reason
