"""The node API: what the runners of remote attempts ask and report. See docs/executors.md.

Each request needs the ticket of its attempt, which works nowhere else, and the id of the runner process. Requests that
wait for the engine occupy no thread. Runners repeat a request that gets no answer, or the status 503.
"""

import asyncio
import json
import re
from concurrent.futures import Future
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from controller.api.http.security_middleware import Caller
from controller.errors import UsageError
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.seat import NodeRequest, NotReadyError, TicketError
from controller.text import visible, visible_lines

PREFIX = "/node/v1/"
WAIT_SECONDS = 25.0
"""How long a request waits for the engine. The runner then repeats it."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_INSTANCE = re.compile(r"[0-9a-f]{32}")
_OFFSET = re.compile(r"[0-9]{1,18}")
_MAX_NODE = 255
_MAX_REASON = 4000
_FILES = {"log": "log", "events": "events.jsonl"}

router = APIRouter(prefix="/node/v1", include_in_schema=False)


@router.post("/attempts/{job_id}/fetch")
async def fetch(request: Request, job_id: str) -> Response:
    """Answer the order of the attempt. It has neither parameters nor secrets."""
    return _json(await run_in_threadpool(_desk(request).fetch, _read(request, job_id)))


@router.get("/packages/{digest}")
async def package(request: Request, digest: str) -> Response:
    """Answer a package that the attempt with this ticket needs."""
    if _DIGEST.fullmatch(digest) is None:
        raise UsageError("A package is named by its SHA-256, with 64 hexadecimal digits.")
    path = await run_in_threadpool(_desk(request).find_package, _read(request, ""), digest)
    return FileResponse(path, media_type="application/zip")


@router.post("/attempts/{job_id}/start")
async def start(request: Request, job_id: str) -> Response:
    """Answer parameters and secrets once it is recorded that this runner starts the flow."""
    node_request, body = _read(request, job_id), await _body(request)
    node, proof = body.get("node"), body.get("proof")
    desk = _desk(request)
    future = await run_in_threadpool(
        lambda: desk.start(
            node_request,
            node=visible(str(node))[:_MAX_NODE] if node else None,
            proof=proof if isinstance(proof, str) else None,
        )
    )
    await _wait(request, future)
    return _json(await run_in_threadpool(desk.start_answer, node_request))


@router.post("/attempts/{job_id}/fail")
async def fail(request: Request, job_id: str) -> Response:
    """Record that the runner can't prepare the attempt."""
    node_request, body = _read(request, job_id), await _body(request)
    reason = visible_lines(str(body.get("reason") or "its runner gave no reason"))[:_MAX_REASON]
    await run_in_threadpool(_desk(request).fail, node_request, reason)
    return _json({})


@router.post("/attempts/{job_id}/log")
async def log(request: Request, job_id: str) -> Response:
    """Append to the log of the attempt, if it has the size that the request assumes."""
    return await _append(request, job_id, "log")


@router.post("/attempts/{job_id}/events")
async def events(request: Request, job_id: str) -> Response:
    """Append to the events of the attempt, if they have the size that the request assumes."""
    return await _append(request, job_id, "events")


@router.post("/attempts/{job_id}/beat")
async def beat(request: Request, job_id: str) -> Response:
    """Note that the runner lives; answer whether its flow must end."""
    return _json(await run_in_threadpool(_desk(request).beat, _read(request, job_id)))


@router.post("/attempts/{job_id}/end")
async def end(request: Request, job_id: str) -> Response:
    """Answer once the reported outcome is recorded."""
    node_request, body = _read(request, job_id), await _body(request)
    await _wait(request, await run_in_threadpool(_desk(request).end, node_request, body))
    return _json({})


def add_routes(app: FastAPI, desk: NodeDesk) -> None:
    """Let an application serve the node API."""
    app.state.node_desk = desk
    app.router.routes.extend(router.routes)


async def _append(request: Request, job_id: str, name: str) -> Response:
    node_request = _read(request, job_id)
    text = request.query_params.get("offset", "")
    if _OFFSET.fullmatch(text) is None:
        raise UsageError("`offset` must be the number of bytes before these.")
    data = await request.body()
    desk = _desk(request)
    size = await run_in_threadpool(desk.append, node_request, _FILES[name], int(text), data)
    return _json({"offset": size})


async def _wait(request: Request, future: "Future[None]") -> None:
    """Wait for the engine. Raises NotReadyError if that takes too long."""
    # The ticket is valid: the server must not close this connection for a new one.
    request.scope["caller"] = Caller(author="node", key="node")
    try:
        await asyncio.wait_for(asyncio.wrap_future(future), WAIT_SECONDS)
    except TimeoutError:
        raise NotReadyError("The controller has not recorded this yet.") from None


def _desk(request: Request) -> NodeDesk:
    desk: NodeDesk = request.app.state.node_desk
    return desk


def _read(request: Request, job_id: str) -> NodeRequest:
    """Return who sends the request. Raises TicketError, UsageError."""
    scheme, _, ticket = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not ticket:
        raise TicketError("The request needs `Authorization: Bearer TICKET`.")
    instance = request.headers.get("x-instance", "")
    if _INSTANCE.fullmatch(instance) is None:
        raise UsageError("The request needs `X-Instance` with 32 hexadecimal digits.")
    return NodeRequest(job_id=job_id, ticket=ticket.strip(), instance=instance)


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise UsageError("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise UsageError("The body is not a JSON object.")
    return body


def _json(value: Any) -> Response:
    return Response(json.dumps(value), media_type="application/json")
