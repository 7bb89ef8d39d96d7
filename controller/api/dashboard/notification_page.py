"""The notifications page: the channels of the operator, the open incidents, and the messages, newest first."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.dashboard.pages import ROWS, Cursor, Filters
from controller.api.dashboard.templating import render
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.model.names import MAX_NAME
from controller.model.notifications import MessageState
from controller.queries.notifications import UNDELIVERED, list_incidents, list_messages, read_notification_status

router = page_router()

INCIDENTS = 50
_DELIVERIES = {"undelivered": UNDELIVERED, **{state.value: (state,) for state in MessageState}}
"""The choices of the filter, with the states of messages that each of them shows."""


@router.get("/notifications")
def notifications(
    request: Request,
    channel: Annotated[str, Query(max_length=63)] = "",
    delivery: Annotated[str, Query(max_length=20)] = "",
    deployment: Annotated[str, Query(max_length=MAX_NAME)] = "",
    before: Cursor = None,
) -> Response:
    """Channels, open incidents and messages. The filters are those of the messages."""
    dependencies = dependencies_of(request)
    filters = Filters(request, ("channel", "delivery", "deployment", "before"))
    delivery = filters.one_of("delivery", _DELIVERIES, delivery)
    with dependencies.store.read() as tx:
        status = read_notification_status(tx, dependencies.clock.now())
        incidents = list_incidents(tx, INCIDENTS + 1, is_open=True)
        rows = list_messages(
            tx,
            ROWS + 1,
            before=before or None,
            deployment=deployment or None,
            channel=channel or None,
            deliveries=_DELIVERIES.get(delivery, ()),
        )
    names = [row.name for row in status.channels]
    return render(
        request,
        "notifications.html",
        tab="Notifications",
        view=status,
        config=dependencies.settings.notifications.config,
        incidents=incidents[:INCIDENTS],
        has_more_incidents=len(incidents) > INCIDENTS,
        messages=rows[:ROWS],
        older=rows[ROWS - 1].id if len(rows) > ROWS else None,
        before=before,
        filters={"channel": channel, "delivery": delivery, "deployment": deployment},
        deliveries=list(_DELIVERIES),
        names=names if not channel or channel in names else [*names, channel],
        filter_problems=filters.problems,
    )
