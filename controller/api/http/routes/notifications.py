"""The endpoints of notifications: messages, channels, incidents, and the test of a channel."""

import asyncio
from typing import Annotated

from fastapi import Path, Query, Request
from starlette.responses import Response

from controller.api.http.pagination import (
    Cursor,
    Limit,
    Page,
    make_page,
    parse_number,
    read_cursor,
    text_parser,
)
from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.api.http.sse import wait_for_disconnect
from controller.errors import ControllerError, StoppingError
from controller.model.names import NAME_PATTERN
from controller.model.notifications import ChannelStatus, Message, MessageState
from controller.queries.notifications import IncidentView, list_channels, list_incidents, list_messages

router = api_router("/api/v1/notifications", "notifications")

ChannelName = Annotated[str, Path(max_length=63)]
_TEST_SECONDS = 75.0
"""A bit more than a delivery may take."""


@router.get("/messages", response_model=Page[Message], summary="List messages, newest first")
def messages(
    request: Request,
    deployment: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    delivery: Annotated[list[MessageState] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The messages about a deployment, or all; with `delivery` only those that wait, were sent or are undeliverable."""
    before = read_cursor(request, cursor, text_parser("[0-9a-f-]{36}"))
    with dependencies_of(request).store.read() as tx:
        rows = list_messages(tx, limit + 1, before=before, deployment=deployment, deliveries=delivery or ())
    return json_response(request, make_page(request, rows, limit, lambda message: message.id))


@router.get("/channels", response_model=list[ChannelStatus], summary="List channels")
def channels(request: Request) -> Response:
    """The channels of the operator, with their state and their last delivery. Contains no URLs."""
    with dependencies_of(request).store.read() as tx:
        return json_response(request, list_channels(tx))


@router.get("/incidents", response_model=Page[IncidentView], summary="List incidents, newest first")
def incidents(request: Request, is_open: bool = False, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The causes of trouble, each with the deployments that it affects; with `is_open` only those that still last."""
    before = read_cursor(request, cursor, parse_number)
    with dependencies_of(request).store.read() as tx:
        rows = list_incidents(tx, limit + 1, before=before, is_open=is_open)
    return json_response(request, make_page(request, rows, limit, lambda incident: str(incident.id)))


@router.post("/channels/{name}/test", response_model=Message, summary="Send a test message")
async def test_channel(request: Request, name: ChannelName) -> Response:
    """Sends one message, and responds with the result of its delivery within 60 seconds: `delivery` and `error`."""
    future = asyncio.wrap_future(dependencies_of(request).operations.test_channel(name))
    disconnected = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        await asyncio.wait((future, disconnected), timeout=_TEST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return json_response(request, future.result())
        if disconnected.done():
            raise StoppingError
        raise ControllerError(
            "The message was not sent within a minute.", hint="See `controller notify log`, and the controller's log."
        )
    finally:
        disconnected.cancel()
        if not future.done():
            future.cancel()
