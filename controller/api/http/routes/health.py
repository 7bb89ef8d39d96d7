"""Does it live, and can it work? For whoever watches processes; and figures for Prometheus."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from controller import __version__
from controller.api.http.problem_details import problem
from controller.api.http.responses import answer, dependencies_of
from controller.errors import StateError
from controller.model.runs import RunState
from controller.model.status import ConditionType
from controller.queries.deployments import Health, Sync
from controller.queries.runs import public_state
from controller.store import run_statistics, source_status
from controller.store.condition_file import NOTICES, read_notices
from controller.time_format import in_utc

router = APIRouter()


@router.get("/healthz", tags=["health"], summary="Does the process answer?", response_class=PlainTextResponse)
async def healthz() -> Response:
    """Needs no token and tells nothing else."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", tags=["health"], summary="Is the state readable and a first pass done?")
def readyz(request: Request) -> Response:
    """503 until the first pass over the source is done, while one does not end, and while the state is unusable."""
    parts = dependencies_of(request)
    try:
        with parts.store.read() as tx:
            status = source_status.find(tx)
    except StateError as error:
        return problem(503, error.reason, error.message, hint=error.hint)
    for told in read_notices(parts.state.path / NOTICES):
        return problem(503, told.reason, told.message)
    if status is None:
        return problem(503, "NotReady", "No pass over the source is done yet.")
    if status.overdue_since is not None:
        since = in_utc(status.overdue_since)
        return problem(503, "PassOverdue", f"The pass that began at {since} has not ended; schedules go on.")
    return answer(request, {"ready": True, "revision": status.last_applied_revision})


@router.get("/metrics", tags=["health"], summary="Figures for Prometheus", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """The text format 0.0.4; needs the token like everything else."""
    text = "\n".join(_metrics(request)) + "\n"
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _metrics(request: Request) -> Iterator[str]:
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        states, source = run_statistics.by_state(tx), source_status.find(tx)
    views = request.app.state.board.deployments()
    yield from _metric("controller_info", "gauge", "The version that runs.", {f'version="{__version__}"': 1})
    by_state = dict.fromkeys(map(public_state, RunState), 0)
    for state, count in states.items():
        by_state[public_state(state)] += count
    yield from _metric("controller_runs", "gauge", "Recorded runs by state.", _labelled("state", by_state))
    syncs = {sync: sum(view.sync is sync for view in views) for sync in Sync}
    yield from _metric("controller_deployments_sync", "gauge", "Deployments by sync.", _labelled("sync", syncs))
    healths = {health: sum(view.health is health for view in views) for health in Health}
    yield from _metric("controller_deployments_health", "gauge", "Deployments by health.", _labelled("health", healths))
    conditions = dict.fromkeys(ConditionType, 0)
    conditions |= {one.type: int(one.status) for one in (() if source is None else source.conditions)}
    for told in read_notices(parts.state.path / NOTICES):
        conditions |= {ConditionType.READY: 0, told.type: int(told.status)}
    words = "Conditions of the source, 1 for true."
    yield from _metric("controller_source_condition", "gauge", words, _labelled("type", conditions))
    withheld = len(source.withheld.deployments) if source is not None and source.withheld is not None else 0
    yield from _metric("controller_withheld_deletions", "gauge", "Deletions that wait for approval.", {"": withheld})


def _labelled(name: str, counts: Mapping[Any, int]) -> dict[str, int]:
    """A series for each word, also where it is nought: one that vanishes looks as if nothing was measured."""
    return {f'{name}="{word}"': count for word, count in counts.items()}


def _metric(name: str, kind: str, words: str, values: dict[str, int]) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
