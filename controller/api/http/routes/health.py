"""Health checks for process supervisors and load balancers, and metrics for Prometheus."""

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from controller.api.http.compression import accepts_gzip, compress
from controller.api.http.problem_details import problem
from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import lenient_router
from controller.errors import NoLeaderError, StateError
from controller.queries.leadership import read_leadership
from controller.store import source_status
from controller.store.condition_file import NOTICES, read_notices
from controller.time_format import in_utc

router = lenient_router("")


@router.get("/healthz", tags=["health"], summary="Liveness", response_class=PlainTextResponse)
async def healthz() -> Response:
    """Return `ok` if the process responds. Needs no token."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", tags=["health"], summary="Readiness")
def readyz(request: Request) -> Response:
    """503 until the first reconcile pass is done, while a pass is overdue, and while the state is not usable.

    A standby is ready while a controller leads: it answers from the database, and forwards changes.
    """
    dependencies = dependencies_of(request)
    try:
        with dependencies.store.read() as tx:
            status = source_status.find(tx)
            leadership = read_leadership(tx, dependencies.state, dependencies.standing())
    except StateError as error:
        return problem(503, error.reason, error.message, hint=error.hint)
    for notice in read_notices(dependencies.state.path / NOTICES):
        return problem(503, notice.reason, notice.message)
    if leadership is not None and (leadership.leader is None or not leadership.leader.leads):
        return problem(503, NoLeaderError.reason, "No controller leads at the moment.", headers={"retry-after": "2"})
    if status is None:
        return problem(503, "NotReady", "The first reconcile pass is not done yet.")
    if status.overdue_since is not None:
        since = in_utc(status.overdue_since)
        return problem(
            503, "PassOverdue", f"The reconcile pass started at {since} has not finished; schedules keep running."
        )
    answer = {"ready": True, "revision": status.last_applied_revision}
    return json_response(request, answer if leadership is None else {**answer, "leadership": leadership})


@router.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Metrics in the Prometheus text format, or in OpenMetrics if `Accept` prefers it. Needs the token."""
    body, content_type = dependencies_of(request).metrics(request.headers.get("accept", ""))
    headers = {"content-type": content_type, "vary": "Accept, Accept-Encoding"}
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        body, headers = compress(body, level=1), headers | {"content-encoding": "gzip"}
    return Response(body, headers=headers)
