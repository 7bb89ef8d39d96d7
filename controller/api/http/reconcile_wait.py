"""How a request waits for a pass: without a thread, no longer than its client does, and not for ever."""

import asyncio
from concurrent.futures import Future

from fastapi import Request

from controller.errors import ControllerError, StoppingError
from controller.reconcile import PassResult

PASS_SECONDS = 600.0


async def passed(request: Request, future: Future[PassResult]) -> PassResult:
    """The result of the pass. Raises ControllerError: that of the pass, or that there was none in ten minutes."""
    pending = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((pending, gone), timeout=PASS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not pending.done():
            raise StoppingError
        if not pending.done():
            raise ControllerError("There was no pass.", hint="It takes long: see `controller status`.")
        return pending.result()
    finally:
        gone.cancel()
        if not pending.done():
            pending.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
