"""Events: what happened, and what happens."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from controller.api.http.pagination import Cursor, Limit, Page, begin, number, page
from controller.api.http.responses import answer, answers, dependencies_of
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import EventStream, LastEventId
from controller.model.status import EventSeverity
from controller.queries.events import EventView, list_events
from controller.store.events import EventFilter

router = APIRouter(prefix="/api/v1/events", tags=["events"])

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
    wanted = EventFilter(limit=limit + 1, before=begin(request, cursor, number), about=about, severity=severity)
    with dependencies_of(request).store.read() as tx:
        found = list_events(tx, wanted)
    return answer(request, page(request, found, limit, lambda event: str(event.id)))


@router.get("/stream", summary="What happens, live", response_class=Response, responses=answers("text/event-stream"))
async def follow_events(request: Request, last_event_id: LastEventId = None) -> Response:
    """Server-sent events: `event` with one event, and `change` after anything else was written down."""
    parts = dependencies_of(request)
    caller: Caller = request.scope["caller"]
    last = min(int(last_event_id), _LARGEST) if last_event_id else None
    return EventStream(parts.feed.listen(last), parts.streams, caller.key)
