"""The dependencies of the routes, and helpers for responses: JSON, entity tags, and times in requests."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, cast, overload
from urllib.parse import unquote

from fastapi import Header, Path, Request
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from controller.api.http.compression import SMALLEST, accepts_gzip, compress
from controller.api.http.credentials import Credentials
from controller.api.http.documented_route import ResponseModel
from controller.api.http.event_feed import EventFeed
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import Streams
from controller.client.idempotency_keys import MAX_KEY
from controller.clock import Clock, in_utc
from controller.manifests.extract import Excerpt
from controller.model.runs import Run
from controller.model.status import InventoryEntry
from controller.operations.context import MAX_REASON, OperationContext
from controller.queries.field_locations import FieldLocations
from controller.queries.leadership import Standing
from controller.queries.run_diff import CommitRange, FileChanges
from controller.reconcile.preview import Preview
from controller.records import dataclass
from controller.runs.log_lines import LogIndexes
from controller.runs.log_search import LogSearcher
from controller.settings import Location, Settings
from controller.store import Store
from controller.store.state_directory import StateDirectory
from controller.text import visible
from controller.triggers.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The parts of the running controller that the routes use.

    `plan` returns the plan of a ref (None: the ref that the controller follows), `code_changes` the files that differ
    between the commits of two runs, `commits_between` the commits between two revisions, `document` the last valid
    document of an inventory entry, and `metrics` all metrics and their content type for an `Accept` header.
    `web_url_template` is the URL of the web page of a commit, with `{commit}`, and `url` that of the dashboard.
    `standing` returns the role of a controller that shares its state with others.
    """

    store: Store
    state: StateDirectory
    location: Location
    settings: Settings
    clock: Clock
    operations: OperationContext
    webhooks: Webhooks
    credentials: Credentials
    feed: EventFeed
    streams: Streams
    fields: FieldLocations
    plan: Callable[[str | None], Preview]
    code_changes: Callable[[Run, Run], FileChanges]
    commits_between: Callable[[str, str], CommitRange | None]
    document: Callable[[InventoryEntry], Excerpt]
    metrics: Callable[[str], tuple[bytes, str]]
    login_link: Callable[[], str]
    url: Callable[[], str | None]
    web_url_template: str | None
    log_searcher: LogSearcher
    standing: Callable[[], Standing | None]
    cookie: str
    is_secure: bool
    log_indexes: LogIndexes = field(default_factory=LogIndexes)


_MAX_PERSON = 50
LINE: dict[str, Any] = {"minLength": 1, "maxLength": MAX_REASON}
"""JSON schema of a reason. `controller.operations` checks it and explains what is wrong."""
IdempotencyKey = Annotated[str | None, Header(json_schema_extra={"minLength": 1, "maxLength": MAX_KEY})]


ID = r"^[0-9a-f-]{36}$"
ID_PATH = Path(json_schema_extra={"pattern": ID})


def full_id(kind: str) -> AfterValidator:
    """Return the check of an id in a path: it must not be abbreviated. `kind` is `run` or `backfill`."""

    def check(text: str) -> str:
        if re.fullmatch(ID, text) is None:
            raise PydanticCustomError(f"{kind}_id", f"not a full {kind} id; `GET /api/v1/{kind}s` lists them")
        return text

    return AfterValidator(check)


RunIdText = Annotated[str, full_id("run"), ID_PATH]
"""The full id of a run, in a path."""


class ChangedRun(ResponseModel):
    """The run, and its state after the change."""

    run_id: str
    state: str


class Triggered(ChangedRun):
    """The new run. `note` says when it starts, if this controller will not start it."""

    note: str | None


def changed_json(run: Run) -> dict[str, Any]:
    """Return the JSON of a `ChangedRun` response."""
    return {"run_id": run.id, "state": run.state.public.value}


def triggered_json(run: Run, operations: OperationContext) -> dict[str, Any]:
    """Return the JSON of a `Triggered` response."""
    return {**changed_json(run), "note": operations.find_delay(run)}


def decode_header(header: str | None) -> str | None:
    """Decode a header as UTF-8, which is what clients send for non-ASCII characters; Starlette decodes Latin-1."""
    if header is None:
        return None
    return header.encode("latin-1").decode("utf-8", "replace")


def dependencies_of(request: Request) -> Dependencies:
    """Return the dependencies that the application was created with."""
    return cast("Dependencies", request.app.state.dependencies)


def text_responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI `responses` of a route whose response is not JSON."""
    return {200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in media_types}}}


def author_of(request: Request) -> str:
    """Return the author of a request, as recorded in events: for the dashboard, with the name that its user has set."""
    caller: Caller | None = request.scope.get("caller")
    if caller is None:
        return "unknown"
    name = _person(request.headers.get("x-controller-author", "")) if caller.is_session else ""
    return f"{caller.author}: {name}" if name else caller.author


def _person(header: str) -> str:
    """Return the percent-encoded name in a header, on one line and at most 50 characters long."""
    return visible(" ".join(unquote(header).split()))[:_MAX_PERSON]


def json_response(request: Request, value: Any, *, status: int = 200) -> Response:
    """Return a value as JSON, in the format of `controller … -o json`. GET responses have an ETag and may be 304."""
    from controller.queries.serialization import json_bytes

    body = json_bytes(value)
    if request.method != "GET":
        return Response(body, status, media_type="application/json")
    return response_with_etag(request, body, "application/json")


def response_with_etag(request: Request, body: bytes, media_type: str, *, compressed: bytes | None = None) -> Response:
    """Return the body with its ETag, with gzip if the client accepts it; 304 if the client has the body already.

    `compressed` is the body with gzip, if the caller has it.
    """
    headers = entity_headers(hashlib.sha256(body)) | {"vary": "Accept-Encoding"}
    if is_not_modified(request, headers):
        return Response(status_code=304, headers=headers)
    if len(body) >= SMALLEST and accepts_gzip(request.headers.get("accept-encoding", "")):
        # Weak, because the bytes differ from those without gzip (RFC 9110, section 8.8.1).
        headers |= {"etag": f"W/{headers['etag']}", "content-encoding": "gzip"}
        body = compress(body) if compressed is None else compressed
    return Response(body, media_type=media_type, headers=headers)


def entity_headers(digest: "hashlib._Hash") -> dict[str, str]:
    """Return the caching headers of a response whose content has this digest."""
    return {"etag": f'"{digest.hexdigest()[:32]}"', "cache-control": "private, no-cache"}


def is_not_modified(request: Request, headers: Mapping[str, str]) -> bool:
    """Return whether `If-None-Match` contains the ETag of these headers."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return headers["etag"] in tags or "*" in tags


def _parse_relative(value: object) -> object:
    """Convert a text such as `now`, `yesterday` or `2h ago` to a time in UTC; return other values unchanged."""
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


Moment = Annotated[datetime, BeforeValidator(_parse_relative)]
"""A time in a request: a date-time, or an expression such as `now` or `yesterday`. Without an offset it is UTC."""


@overload
def aware(moment: datetime) -> datetime: ...
@overload
def aware(moment: None) -> None: ...
@overload
def aware(moment: datetime | None) -> datetime | None: ...
def aware(moment: datetime | None) -> datetime | None:
    """Convert a time from a request to UTC; a time without an offset is taken as UTC."""
    from datetime import UTC

    if moment is None:
        return None
    return in_utc(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
