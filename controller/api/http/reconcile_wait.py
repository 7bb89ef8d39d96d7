"""Waits for a reconcile pass on behalf of a request, without a thread and only while the client is connected."""

import asyncio
from concurrent.futures import Future

from fastapi import Request

from controller.errors import ControllerError, StoppingError
from controller.reconcile.reconciler import PassResult

PASS_SECONDS = 600.0


async def wait_for_pass(request: Request, future: Future[PassResult]) -> PassResult:
    """Return the result of the pass. Raises ControllerError if the pass fails or does not finish within 10 minutes."""
    pending = asyncio.wrap_future(future)
    disconnected = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((pending, disconnected), timeout=PASS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if disconnected.done() and not pending.done():
            raise StoppingError
        if not pending.done():
            raise ControllerError(
                "The reconcile pass did not finish within 10 minutes.", hint="See `controller status`."
            )
        return pending.result()
    finally:
        disconnected.cancel()
        if not pending.done():
            pending.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
