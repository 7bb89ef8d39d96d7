"""The pages of one run: its cause and one of its tabs, and the changes of the code since another run."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Path, Query, Request
from starlette.responses import Response

from controller.api.dashboard.gantt import Gantt, gantt
from controller.api.dashboard.pages import Filters
from controller.api.dashboard.task_groups import group_tasks, not_succeeded, with_callers
from controller.api.dashboard.template_filters import seconds, tone
from controller.api.dashboard.templating import render
from controller.api.http.responses import Dependencies, dependencies_of
from controller.api.http.routers import page_router
from controller.api.http.routes.runs import code_between
from controller.errors import NotFoundError
from controller.model.runs import Run, RunDetail, RunState
from controller.model.task_runs import TaskRun
from controller.queries.log_traceback import LogExcerpt, find_traceback
from controller.queries.occurrences import list_due_runs
from controller.queries.run_diff import CommitRange, FileChanges, RunDiff, diff_runs, find_other_run
from controller.queries.runs import neighbours, run_detail
from controller.records import dataclass
from controller.runs.log_files import log_pieces
from controller.store import Transaction, inventory
from controller.store.run_search import RunFilter, runs_page

router = page_router()

RunIdText = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
Choice = Annotated[str, Query(max_length=40)]
SECTIONS = ("log", "tasks", "artifacts", "parameters", "details")
OTHER_RUNS = 20
_CREATED = {
    "schedule": "triggered by schedule",
    "manual": "triggered manually",
    "backfill": "triggered by backfill",
    "retry": "triggered by retry",
    "upstream": "triggered by upstream deployments",
    "file": "triggered by a file",
    "webhook": "triggered by a webhook",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what happened and when. `state` is that of the run or attempt from then on; it selects the icon."""

    state: str
    text: str
    at: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRun:
    """A run to compare with; `age` is the time between the two runs."""

    id: str
    state: str
    revision: str
    age: str
    is_earlier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """The contents of the tab with tasks: a chart of all tasks or of those that did not succeed, and a table.

    `states` has the number of calls in each state as text, and `count` the number of all, both without the flow of the
    run itself. `link` returns the URL of the same view with one choice changed.
    """

    chart: Gantt | None
    table: Sequence[TaskRun]
    labels: dict[int, str]
    unsuccessful: int
    only_unsuccessful: bool
    has_groups: bool
    open_groups: str
    table_is_open: bool
    states: str
    count: int
    link: Callable[..., str]


@router.get("/runs/{run_id}")
def run(
    request: Request, run_id: RunIdText, tab: Choice = "", show: Choice = "", expand: Choice = "", table: Choice = ""
) -> Response:
    """One run: its state and cause, and one tab: the log, tasks, artifacts, parameters or details."""
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    filters = Filters(request, request.query_params)
    section = filters.one_of("tab", SECTIONS, tab) or SECTIONS[0]
    with dependencies.store.read() as tx:
        view = run_detail(tx, run_id, now, dependencies.state.runs)
        is_failed = tone(view.state) == "bad" or view.state is RunState.RETRYING
        previous, following = neighbours(tx, view)
        has_summary = is_failed and section == "log"
        comparison = diff_runs(tx, view) if has_summary or section in ("parameters", "details") else None
        others = list(_other_runs(tx, view)) if has_summary or section == "details" else []
        is_active = inventory.find(tx, view.deployment) is not None
        due_runs = list_due_runs(tx, view.deployment, view.scheduled_for) if view.scheduled_for is not None else ()
    calls = [task for task in view.tasks if not _is_whole(task)]
    values: dict[str, Any] = {}
    if section == "tasks":
        values["tasks"] = _task_view(view, calls, now, {"show": show, "expand": expand, "table": table})
    return render(
        request,
        "run.html",
        tab="Runs",
        view=view,
        is_final=RunState(view.state).is_terminal,
        is_failed=is_failed,
        is_active=is_active,
        section=section,
        sections=SECTIONS,
        counts={"tasks": len(calls), "artifacts": len(view.artifacts), "parameters": len(view.parameters)},
        failed_tasks=sum(tone(task.state) == "bad" for task in calls),
        cause=_cause(view),
        excerpt=_excerpt(dependencies, view) if has_summary else None,
        comparison=comparison,
        commits=_commits(dependencies, view, comparison),
        other_runs=others,
        previous=previous,
        next=following,
        origin=_CREATED.get(view.trigger, "created"),
        elapsed=elapsed_seconds(view),
        started_attempts=sum(attempt.started_at is not None for attempt in view.history),
        steps=steps(view),
        due_runs=due_runs,
        delay=dependencies.operations.find_delay(view) if view.started_at is None else None,
        filter_problems=filters.problems,
        zone_of=view.deployment,
        **values,
    )


@router.get("/runs/{run_id}/diff")
def difference(
    request: Request, run_id: RunIdText, other: Annotated[str, Query(alias="with", max_length=40)] = ""
) -> Response:
    """The differences between this run and another one, by default the last successful run before it."""
    dependencies = dependencies_of(request)
    problems = []
    with dependencies.store.read() as tx:
        view = run_detail(tx, run_id, dependencies.clock.now())
        try:
            earlier = find_other_run(tx, view, other) if other else None
            comparison = diff_runs(tx, view, earlier)
        except NotFoundError as error:
            comparison = None
            problems.append(error.message)
    commits, changes = (None, FileChanges()) if comparison is None else code_between(dependencies, view, comparison)
    return render(
        request,
        "diff.html",
        tab="Runs",
        view=view,
        comparison=comparison,
        commits=commits,
        changes=changes,
        other_id=other,
        problems=problems,
        zone_of=view.deployment,
    )


def elapsed_seconds(view: RunDetail) -> float | None:
    """Return the time from the start of the first attempt to the end of the last; None if that is only its duration."""
    starts = [attempt.started_at for attempt in view.history if attempt.started_at is not None]
    ends = [attempt.finished_at for attempt in view.history if attempt.finished_at is not None]
    if len(starts) < 2 or not ends or not RunState(view.state).is_terminal:
        return None
    elapsed = (max(ends) - starts[0]).total_seconds()
    return elapsed if seconds(elapsed) != seconds(view.took or 0) else None


def steps(view: RunDetail) -> list[Step]:
    """Return the steps of a run: due, created, the start and end of each attempt, finished."""
    return list(_steps(view))


def _steps(view: RunDetail) -> Iterator[Step]:
    if view.scheduled_for is not None:
        yield Step(state="scheduled", text="due", at=view.scheduled_for)
    yield Step(
        state="pending", text=_CREATED.get(view.trigger, "created"), at=view.created_at, detail=view.waiting or ""
    )
    has_retries = view.attempts > 1
    for attempt in view.history:
        name = f"attempt {attempt.number} of {view.attempts} " if has_retries else ""
        if attempt.started_at is not None:
            yield Step(state="running", text=f"{name}started", at=attempt.started_at)
        if attempt.finished_at is not None and (has_retries or view.finished_at is None):
            yield Step(
                state=attempt.state,
                text=f"{name}{_readable(attempt.state)}",
                at=attempt.finished_at,
                detail=attempt.reason or "",
            )
    if view.finished_at is not None:
        yield Step(state=view.state, text=_readable(view.state), at=view.finished_at, detail=view.reason or "")
    elif view.not_before is not None and view.state in ("pending", "retrying"):
        yield Step(
            state=view.state, text="next attempt" if view.state == "retrying" else "earliest start", at=view.not_before
        )


def _task_view(view: RunDetail, calls: Sequence[TaskRun], now: datetime, choices: dict[str, str]) -> TaskView:
    unsuccessful = not_succeeded(calls)
    only_unsuccessful = choices["show"] == "failed"
    shown = with_callers(view.tasks, unsuccessful) if only_unsuccessful else view.tasks
    groups = group_tasks(shown, (choices["expand"],))
    table = unsuccessful if unsuccessful and choices["table"] != "all" else view.tasks

    def link(**changed: str) -> str:
        query = {name: value for name, value in {"tab": "tasks", **choices, **changed}.items() if value}
        return f"/runs/{view.id}?{urlencode(query)}"

    return TaskView(
        chart=gantt(groups, view.tasks, view.finished_at or now),
        table=table,
        labels={task.id: task.label for task in view.tasks},
        unsuccessful=len(unsuccessful),
        only_unsuccessful=only_unsuccessful,
        has_groups=any(group.key for group in groups),
        open_groups=choices["expand"],
        table_is_open=choices["table"] == "all",
        states=_describe_states(calls),
        count=len(calls),
        link=link,
    )


def _other_runs(tx: Transaction, view: Run) -> Iterator[OtherRun]:
    """Yield the newest runs of the same deployment, without this one."""
    matches = runs_page(tx, RunFilter(deployment=view.deployment), limit=OTHER_RUNS + 1).runs
    for run in [run for run in matches if run.id != view.id][:OTHER_RUNS]:
        distance = view.created_at - run.created_at
        yield OtherRun(
            id=run.id,
            state=run.state.public,
            revision=run.revision,
            age=seconds(abs(distance).total_seconds()),
            is_earlier=distance > timedelta(0),
        )


def _excerpt(dependencies: Dependencies, view: Run) -> LogExcerpt | None:
    return find_traceback(log_pieces(dependencies.state.runs, view.id), view.reason or "")


def _commits(dependencies: Dependencies, view: Run, comparison: RunDiff | None) -> CommitRange | None:
    if comparison is None or comparison.same_revision:
        return None
    return dependencies.commits_between(view.revision, comparison.earlier.revision)


def _cause(view: RunDetail) -> TaskRun | None:
    """Return the task whose label begins the reason of a failed run; see `controller.model.failure_cause`."""
    label, separator, _ = (view.reason or "").partition(": ")
    return next((task for task in view.tasks if separator and task.label == label and tone(task.state) == "bad"), None)


def _describe_states(tasks: Sequence[TaskRun]) -> str:
    counts = Counter(task.state for task in tasks)
    return ", ".join(f"{count} {_readable(state)}" for state, count in counts.most_common())


def _is_whole(task: TaskRun) -> bool:
    """Return whether this is the flow of the run itself, which fails with every task that it needs."""
    return task.parent is None and task.kind == "flow"


def _readable(state: str) -> str:
    return state.replace("_", " ")
