"""Events: what happened, and what happens."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from controller.api.web.gate import Caller
from controller.api.web.lists import Cursor, Limit, Page, begin, number, page
from controller.api.web.parts import Parts, answer, parts_of
from controller.api.web.streams import EventStream, message
from controller.model.status import EventSeverity
from controller.store import events as journal
from controller.store.events import EventsWanted
from controller.views.journal import EventView, list_events, new_events

router = APIRouter(prefix="/api/v1/events", tags=["events"])

_AT_ONCE = 100
_LARGEST = (1 << 63) - 1


@router.get("", response_model=Page[EventView], summary="What happened, newest first")
def events(
    request: Request,
    about: Annotated[str | None, Query(max_length=100, pattern=r"^[\x21-\x7e]+$")] = None,
    severity: EventSeverity | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """About one deployment, or `source`; of one severity."""
    wanted = EventsWanted(limit=limit + 1, before=begin(request, cursor, number), about=about, severity=severity)
    with parts_of(request).store.read() as tx:
        found = list_events(tx, wanted)
    return answer(request, page(request, found, limit, lambda event: str(event.id)))


@router.get("/stream", summary="What happens, live", response_class=Response)
async def follow_events(
    request: Request, last_event_id: Annotated[str | None, Header(max_length=30, pattern=r"^[0-9]*$")] = None
) -> Response:
    """Server-sent events: `event` with one event, and `change` after anything else was written down."""
    parts = parts_of(request)
    caller: Caller = request.scope["caller"]
    begin = min(int(last_event_id), _LARGEST) if last_event_id else await run_in_threadpool(_last, parts)
    return EventStream(_told(parts, begin), parts.streams, caller.key)


async def _told(parts: Parts, last: int) -> AsyncGenerator[bytes]:
    seen = None
    while True:
        stamp = parts.changes.stamp()
        if stamp != seen:
            while found := await run_in_threadpool(_new, parts, last):
                for event in found:
                    last = event.id
                    yield message(event, event="event", number=str(last))
            yield message({}, event="change")
            seen = stamp
        else:
            yield b""
        if not await parts.streams.pause():
            return


def _new(parts: Parts, last: int) -> list[EventView]:
    with parts.store.read() as tx:
        return new_events(tx, last, _AT_ONCE)


def _last(parts: Parts) -> int:
    with parts.store.read() as tx:
        return journal.last_number(tx)
