"""What the routes have at hand, and how they answer: one place for entity tags and times."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, cast, overload

from fastapi import Header, Request
from pydantic import BaseModel, BeforeValidator
from starlette.responses import Response

from controller.api.http.credentials import Credentials
from controller.api.http.event_feed import EventFeed
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import Streams
from controller.api.operations import MAX_KEY, MAX_REASON, Operations
from controller.api.parameter_check import Parameters
from controller.clock import Clock, in_utc
from controller.manifests import Excerpt
from controller.model.runs import Run
from controller.model.status import InventoryEntry
from controller.queries.field_locations import FieldLocations
from controller.queries.run_diff import CodeChanges
from controller.reconcile.preview import Preview
from controller.settings import Location
from controller.store import Store
from controller.store.state_directory import StateDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Of the running controller, what HTTP shows and asks.

    `plan` gives the plan of a ref (None: the one that is followed), `code_changes` what differs between two revisions,
    `document` the last good document of an entry.
    """

    store: Store
    state: StateDirectory
    location: Location
    clock: Clock
    operations: Operations
    parameters: Parameters
    credentials: Credentials
    feed: EventFeed
    streams: Streams
    fields: FieldLocations
    plan: Callable[[str | None], Preview]
    code_changes: Callable[[str, str], CodeChanges]
    document: Callable[[InventoryEntry], Excerpt]
    login_link: Callable[[], str]
    cookie: str
    is_secure: bool


LINE: dict[str, Any] = {"minLength": 1, "maxLength": MAX_REASON}
"""A reason; `Operations` says in words what is wrong with one."""
IdempotencyKey = Annotated[str | None, Header(json_schema_extra={"minLength": 1, "maxLength": MAX_KEY})]


class Triggered(BaseModel):
    """The run that was made."""

    run_id: str
    state: str


def triggered(run: Run) -> dict[str, Any]:
    """The answer that names a run."""
    return {"run_id": run.id, "state": run.state.value}


def in_utf8(header: str | None) -> str | None:
    """A header that may hold more than ASCII: those who send that send UTF-8, and HTTP hands on bytes."""
    if header is None:
        return None
    return header.encode("latin-1").decode("utf-8", "replace")


def dependencies_of(request: Request) -> Dependencies:
    """The parts that this application was made with."""
    return cast("Dependencies", request.app.state.parts)


def answers(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """What the description of a route says of answers that are no JSON."""
    return {200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in media_types}}}


def author_of(request: Request) -> str:
    """Who asks, as events name them."""
    caller: Caller | None = request.scope.get("caller")
    return "unknown" if caller is None else caller.author


def answer(request: Request, value: Any, *, status: int = 200) -> Response:
    """The JSON of a view, as `controller … -o json` has it, with an entity tag; 304 if it is known already."""
    from controller.queries.serialization import to_json

    body = json.dumps(to_json(value), ensure_ascii=False).encode("utf-8", "backslashreplace")
    if request.method != "GET":
        return Response(body, status, media_type="application/json")
    return tagged(request, body, "application/json")


def tagged(request: Request, body: bytes, media_type: str) -> Response:
    """This body with its entity tag; 304 if the asker has it already."""
    headers = entity_headers(hashlib.sha256(body))
    if is_known(request, headers):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def entity_headers(digest: "hashlib._Hash") -> dict[str, str]:
    """The headers of what is known again by this digest."""
    return {"etag": f'"{digest.hexdigest()[:32]}"', "cache-control": "private, no-cache"}


def is_known(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the asker has what these headers belong to."""
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return headers["etag"] in known or "*" in known


def _worded(value: object) -> object:
    """The instant of a text such as `now`, `yesterday` or `2h ago`, in UTC; any other value as it is."""
    from datetime import UTC

    from controller.clock import SystemClock
    from controller.errors import ScheduleError
    from controller.schedules import parse_moment

    if not isinstance(value, str) or value[:4].isdigit():
        return value
    try:
        return parse_moment(value, SystemClock().now(), UTC)
    except ScheduleError:
        return value


Moment = Annotated[datetime, BeforeValidator(_worded)]
"""A time of a request: a date-time, or a word such as `now` or `yesterday`. A local one is in UTC."""


@overload
def aware(moment: datetime) -> datetime: ...
@overload
def aware(moment: None) -> None: ...
@overload
def aware(moment: datetime | None) -> datetime | None: ...
def aware(moment: datetime | None) -> datetime | None:
    """A time that was asked for; without an offset it is UTC."""
    from datetime import UTC

    if moment is None:
        return None
    return in_utc(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
