"""The endpoints for programs that prove by a signature, instead of the token, that they may send a request.

They work at the TCP address only: the users of the Unix socket have the API.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from controller.api.http.documented_route import ResponseModel
from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import lenient_router
from controller.api.http.routes.reconcile import ReconcileAnswer
from controller.errors import NotFoundError
from controller.triggers.signatures import SignedRequest
from controller.triggers.webhooks import Webhooks

router = lenient_router("/hooks", "hooks")

Result = TypeVar("Result")
_ANY_BODY: dict[str, Any] = {
    "requestBody": {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
    "security": [],
}


class HookAnswer(ResponseModel):
    """The run that the delivery has started."""

    run_id: str


@router.post(
    "/git",
    response_model=ReconcileAnswer,
    status_code=202,
    summary="Sync now, for git servers",
    openapi_extra=_ANY_BODY,
)
async def git(request: Request) -> Response:
    """Request a reconcile pass. The request needs the signature that the git server makes with `--git-hook-secret`.

    Its body is not used.
    """
    await _handle(request, Webhooks.request_sync)
    return json_response(request, {"is_done": False}, status=202)


@router.post(
    "/{name}", response_model=HookAnswer, status_code=202, summary="Start a run by a webhook", openapi_extra=_ANY_BODY
)
async def start_run(request: Request, name: str) -> Response:
    """Start a run of the deployment that declares this webhook, with parameters from the JSON body.

    The request needs the signature or the token that the deployment declares. A repeated delivery gets the same answer.
    """
    run_id = await _handle(request, lambda webhooks, signed: webhooks.start_run(name, signed))
    return json_response(request, {"run_id": run_id}, status=202)


async def _handle(request: Request, handle: Callable[[Webhooks, SignedRequest], Result]) -> Result:
    if "peer" in request.scope:
        raise NotFoundError("Webhooks work at the TCP address only.", hint="See --listen.")
    signed = SignedRequest(headers=request.headers, body=await request.body())
    return await run_in_threadpool(handle, dependencies_of(request).webhooks, signed)
