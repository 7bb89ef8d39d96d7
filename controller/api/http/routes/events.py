"""The endpoints of events: the recorded events, and the live stream."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.http.pagination import Cursor, Limit, Page, make_page, parse_number, read_cursor
from controller.api.http.responses import ID, dependencies_of, json_response, text_responses
from controller.api.http.routers import api_router
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import EventStream, LastEventId
from controller.model.status import EventSeverity, NumberedEvent
from controller.queries.events import list_events
from controller.store.events import EventFilter

router = api_router("/api/v1/events", "events")

_LARGEST = (1 << 63) - 1


@router.get("", response_model=Page[NumberedEvent], summary="List events, newest first")
def events(  # noqa: PLR0913
    request: Request,
    about: Annotated[str | None, Query(max_length=100, pattern=r"^[\x21-\x7e]+$")] = None,
    severity: EventSeverity | None = None,
    run: Annotated[str | None, Query(pattern=ID)] = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    reason: Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z]+$")] = None,
    after_id: Annotated[int | None, Query(ge=0, le=_LARGEST)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Filter by `about` (a deployment or `source`), `severity`, `run`, `tag`, `reason`. `after_id`: only later ones."""
    query = EventFilter(
        limit=limit + 1,
        before=read_cursor(request, cursor, parse_number),
        after=after_id,
        about=about,
        severity=severity,
        run_id=run,
        tag=tag,
        reason=reason,
    )
    with dependencies_of(request).store.read() as tx:
        rows = list_events(tx, query)
    return json_response(request, make_page(request, rows, limit, lambda event: str(event.id)))


@router.get("/stream", summary="Stream events", response_class=Response, responses=text_responses("text/event-stream"))
async def follow_events(request: Request, last_event_id: LastEventId = None) -> Response:
    """Server-sent events: `event` with an event, and `change` after every other change of the state.

    With `Last-Event-ID`, the stream continues after that event. If events after it have been deleted, or it is not
    in this state, the stream begins with `gap`: `{"after": 12, "next": 41}`, the numbers before and after the gap.
    """
    dependencies = dependencies_of(request)
    caller: Caller = request.scope["caller"]
    last = min(int(last_event_id), _LARGEST) if last_event_id else None
    return EventStream(dependencies.feed.subscribe(last), dependencies.streams, caller.key)
