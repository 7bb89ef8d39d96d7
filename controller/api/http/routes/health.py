"""Health checks for process supervisors and load balancers, and metrics for Prometheus."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from controller import __version__
from controller.api.http.problem_details import problem
from controller.api.http.responses import dependencies_of, json_response
from controller.errors import StateError
from controller.model.backfills import BackfillState
from controller.model.python_environments import PythonState, PythonStatistics
from controller.model.runs import RunState
from controller.model.status import ConditionType
from controller.queries.deployments import Health, Sync
from controller.store import Transaction, backfills, python_environments, run_statistics, source_status
from controller.store.condition_file import NOTICES, read_notices
from controller.time_format import in_utc

router = APIRouter()


@router.get("/healthz", tags=["health"], summary="Liveness", response_class=PlainTextResponse)
async def healthz() -> Response:
    """Return `ok` if the process responds. Needs no token."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", tags=["health"], summary="Readiness")
def readyz(request: Request) -> Response:
    """503 until the first reconcile pass is done, while a pass is overdue, and while the state is not usable."""
    dependencies = dependencies_of(request)
    try:
        with dependencies.store.read() as tx:
            status = source_status.find(tx)
    except StateError as error:
        return problem(503, error.reason, error.message, hint=error.hint)
    for notice in read_notices(dependencies.state.path / NOTICES):
        return problem(503, notice.reason, notice.message)
    if status is None:
        return problem(503, "NotReady", "The first reconcile pass is not done yet.")
    if status.overdue_since is not None:
        since = in_utc(status.overdue_since)
        return problem(
            503, "PassOverdue", f"The reconcile pass started at {since} has not finished; schedules keep running."
        )
    return json_response(request, {"ready": True, "revision": status.last_applied_revision})


@router.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Metrics in the Prometheus text format 0.0.4. Needs the token."""
    text = "\n".join(_metrics(request)) + "\n"
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _metrics(request: Request) -> Iterator[str]:
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        states, source = run_statistics.by_state(tx), source_status.find(tx)
        backfill_metrics = list(_backfill_metrics(tx))
        python_metrics = list(_python_metrics(tx, dependencies.python_statistics()))
    views = request.app.state.deployment_cache.deployments()
    yield from _metric("controller_info", "gauge", "The running version.", {f'version="{__version__}"': 1})
    by_state = dict.fromkeys((state.public for state in RunState), 0)
    for state, count in states.items():
        by_state[state.public] += count
    yield from _metric("controller_runs", "gauge", "Recorded runs by state.", _label("state", by_state))
    yield from backfill_metrics
    syncs = {sync: sum(view.sync is sync for view in views) for sync in Sync}
    yield from _metric("controller_deployments_sync", "gauge", "Deployments by sync status.", _label("sync", syncs))
    healths = {health: sum(view.health is health for view in views) for health in Health}
    yield from _metric(
        "controller_deployments_health", "gauge", "Deployments by health status.", _label("health", healths)
    )
    yield from python_metrics
    conditions = dict.fromkeys(ConditionType, 0)
    del conditions[ConditionType.PYTHON_READY]  # is a condition of deployments
    recorded = () if source is None else source.conditions
    conditions |= {condition.type: int(condition.is_true) for condition in recorded}
    for notice in read_notices(dependencies.state.path / NOTICES):
        conditions |= {ConditionType.READY: 0, notice.type: int(notice.is_true)}
    text = "Conditions of the source, 1 if true."
    yield from _metric("controller_source_condition", "gauge", text, _label("type", conditions))
    withheld = len(source.withheld.deployments) if source is not None and source.withheld is not None else 0
    yield from _metric("controller_withheld_deletions", "gauge", "Deletions awaiting approval.", {"": withheld})


def _backfill_metrics(tx: Transaction) -> Iterator[str]:
    by_state = dict.fromkeys(BackfillState, 0) | backfills.count_by_state(tx)
    yield from _metric("controller_backfills", "gauge", "Backfills by state.", _label("state", by_state))
    unfinished = backfills.count(tx, [backfill.id for backfill in backfills.find_unfinished(tx)]).values()
    states = ("waiting", "running", "done", "failed", "cancelled")
    times = {state: sum(getattr(progress, state) for progress in unfinished) for state in states}
    text = "Due times of running and paused backfills by state."
    yield from _metric("controller_backfill_due_times", "gauge", text, _label("state", times))


def _python_metrics(tx: Transaction, statistics: PythonStatistics) -> Iterator[str]:
    by_state = dict.fromkeys(PythonState, 0) | python_environments.count_by_state(tx)
    text = "Python environments by state."
    yield from _metric("controller_python_environments", "gauge", text, _label("state", by_state))
    size = python_environments.bytes_on_disk(tx)
    yield from _metric("controller_python_bytes", "gauge", "Size of the Python environments on disk.", {"": size})
    text = "Builds of Python environments that have ended since the start."
    yield from _metric("controller_python_builds_total", "counter", text, {"": statistics.builds})
    text = "Builds of Python environments that have failed since the start."
    yield from _metric("controller_python_build_failures_total", "counter", text, {"": statistics.failures})
    seconds = round(statistics.last_build_seconds, 3)
    text = "Duration of the last build of a Python environment."
    yield from _metric("controller_python_last_build_seconds", "gauge", text, {"": seconds})
    text = "Running fork servers of Python environments."
    yield from _metric("controller_python_fork_servers", "gauge", text, {"": statistics.fork_servers})


def _label(name: str, counts: Mapping[Any, int]) -> dict[str, float]:
    """Return a series for each value, including zeros: a missing series would look like a failed measurement."""
    return {f'{name}="{value}"': count for value, count in counts.items()}


def _metric(name: str, kind: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
