"""Runs: which there were, one of them, and what it printed, also while it prints."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from controller.api.http.downloads import download
from controller.api.http.pagination import Cursor, Limit, Page, begin, following, text_like
from controller.api.http.protocol import MAX_PAGE_BYTES
from controller.api.http.responses import (
    LINE,
    Dependencies,
    IdempotencyKey,
    Moment,
    Triggered,
    answer,
    answers,
    author_of,
    aware,
    dependencies_of,
    in_utf8,
    triggered,
)
from controller.api.http.routes.deployments import NAME
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import EventStream, LastEventId, message
from controller.api.http.strict_json import StrictRoute
from controller.errors import NotFoundError
from controller.model.runs import Run, RunState, Trigger
from controller.queries.events import RunDetail, exact_run, run_detail
from controller.queries.run_logs import CHUNK_BYTES, LogChunk, log_chunk, tail_offset
from controller.queries.runs import RunView, run_views, stored_states
from controller.runs.log_files import log_files, log_pieces
from controller.store import Transaction
from controller.store.run_search import RunFilter, RunPage, runs_page

router = APIRouter(prefix="/api/v1/runs", tags=["runs"], route_class=StrictRoute)

_AT_ONCE = 50
"""How many runs are read at once, with all their parameters."""
_RUN_ID = r"^[0-9a-f-]{36}$"


def _whole(text: str) -> str:
    if re.fullmatch(_RUN_ID, text) is None:
        raise PydanticCustomError("run_id", "a run's whole id is needed; `GET /api/v1/runs` lists them")
    return text


Tail = Annotated[int | None, Query(ge=0, le=10_000)]
RunIdText = Annotated[str, AfterValidator(_whole), Path(json_schema_extra={"pattern": _RUN_ID})]


class Cancellation(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="cancelled over HTTP", json_schema_extra=LINE)


@router.get("", response_model=Page[RunView], summary="Runs, newest first")
def runs(  # noqa: PLR0913
    request: Request,
    deployment: Annotated[str | None, Query(pattern=NAME)] = None,
    state: Annotated[list[RunState] | None, Query()] = None,
    tag: Annotated[str | None, Query(max_length=200)] = None,
    trigger: Trigger | None = None,
    revision: Annotated[str | None, Query(min_length=1, max_length=250, pattern=r"^[\x21-\x7e]+$")] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Those that match all questions; `revision` may be the beginning of a commit's id."""
    before = begin(request, cursor, text_like("[0-9a-f-]{36}"))
    wanted = RunFilter(
        deployment=deployment,
        states=None if state is None else [one for given in state for one in stored_states(given)],
        tag=tag,
        trigger=None if trigger is None else trigger.value,
        revision=revision,
        since=aware(since),
        until=aware(until),
    )
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        some = _some(tx, wanted, limit, before)
        found = run_views(tx, some.runs, parts.clock.now())
    return answer(request, {"items": found, "next": following(request, some.next)})


@router.get("/{run_id}", response_model=RunDetail, summary="Everything about one run")
def run(request: Request, run_id: RunIdText) -> Response:
    """As `controller runs show -o json` has it, and its attempts."""
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        return answer(request, run_detail(tx, run_id, parts.clock.now(), parts.state.runs))


@router.post("/{run_id}/cancel", response_model=Triggered, summary="End it")
def cancel(request: Request, run_id: RunIdText, asked: Cancellation) -> Response:
    """At once if it waits, else as soon as its flow has ended. 409 if it has ended otherwise."""
    run = dependencies_of(request).operations.cancel(run_id, asked.reason, author=author_of(request))
    return answer(request, triggered(run))


@router.post("/{run_id}/retry", response_model=Triggered, status_code=201, summary="Do the same again")
def retry(
    request: Request,
    run_id: RunIdText,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A new run at the same pin. The same `Idempotency-Key` gives the same run. 409 while it has not ended."""
    made = dependencies_of(request).operations.retry(run_id, key=in_utf8(idempotency_key), author=author_of(request))
    return answer(request, triggered(made), status=201)


@router.get("/{run_id}/logs", response_model=LogChunk, summary="A stretch of what it printed")
def logs(
    request: Request,
    run_id: RunIdText,
    offset: Annotated[int, Query(ge=0, le=1 << 60)] = 0,
    limit: Annotated[int, Query(ge=1, le=1 << 20)] = CHUNK_BYTES,
    tail: Tail = None,
) -> Response:
    """Bytes `offset` to `next_offset` as text, of `size` bytes so far; with `tail` its last lines.

    A line of the controller's separates the attempts.
    """
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        found = exact_run(tx, run_id)
    pieces = log_pieces(parts.state.runs, found.id)
    begin = offset if tail is None else tail_offset(pieces, tail)
    return answer(request, log_chunk(pieces, begin, limit))


@router.get(
    "/{run_id}/logs/raw",
    summary="All that it printed, as it printed it",
    response_class=Response,
    responses=answers("application/octet-stream"),
)
def raw(request: Request, run_id: RunIdText) -> Response:
    """Bytes, to be saved and not to be shown: all that the logs of its attempts hold by now."""
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        found = exact_run(tx, run_id)
    return download(request, log_files(parts.state.runs, found.id), f"{found.deployment}-{found.id}.log")


@router.get(
    "/{run_id}/logs/stream",
    summary="What it prints, live",
    response_class=Response,
    responses=answers("text/event-stream"),
)
async def follow_log(
    request: Request,
    run_id: RunIdText,
    offset: Annotated[int, Query(ge=0, le=1 << 60)] = 0,
    tail: Tail = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Server-sent events: `log` with a stretch, `end` with the state. An id is the offset to go on from.

    With `tail` it begins with the last lines so far, unless a `Last-Event-ID` says from where it goes on.
    """
    parts = dependencies_of(request)
    caller: Caller = request.scope["caller"]
    await run_in_threadpool(_state, parts, run_id)
    begin = int(last_event_id) if last_event_id else offset
    if tail is not None and not last_event_id:
        begin = await run_in_threadpool(_tail_offset, parts, run_id, tail)
    return EventStream(_told(parts, run_id, begin), parts.streams, caller.key)


async def _told(parts: Dependencies, run_id: str, offset: int) -> AsyncGenerator[bytes]:
    with suppress(NotFoundError):  # it was forgotten meanwhile: whoever asks again is told so
        while True:
            # Asked before the look: what was printed before the end is told before it.
            state = await run_in_threadpool(_state, parts, run_id)
            while True:
                part = await run_in_threadpool(_stretch, parts, run_id, offset)
                if not part.text:
                    break
                offset = part.next_offset
                yield message({"text": part.text, "size": part.size}, event="log", number=str(offset))
            if state.is_terminal:
                yield message({"state": state.value}, event="end", number=str(offset))
                return
            yield b""
            if not await parts.streams.pause():
                return


def _some(tx: Transaction, wanted: RunFilter, limit: int, before: str | None) -> RunPage:
    """A page of runs. Parameters may have a megabyte each: where they are large it ends early, after one at least."""
    found: list[Run] = []
    size = 0
    while True:
        step = min(_AT_ONCE, limit - len(found))
        part = runs_page(tx, wanted, limit=step, before=before)
        for run in part.runs:
            size += len(json.dumps([run.parameters, run.result]))
            if found and size > MAX_PAGE_BYTES:
                return RunPage(runs=found, next=found[-1].id)
            found.append(run)
        before = part.next
        if before is None or len(part.runs) < step or len(found) == limit:
            return RunPage(runs=found, next=before)


def _stretch(parts: Dependencies, run_id: str, offset: int) -> LogChunk:
    return log_chunk(log_pieces(parts.state.runs, run_id), offset, CHUNK_BYTES)


def _tail_offset(parts: Dependencies, run_id: str, lines: int) -> int:
    return tail_offset(log_pieces(parts.state.runs, run_id), lines)


def _state(parts: Dependencies, run_id: str) -> RunState:
    with parts.store.read() as tx:
        return exact_run(tx, run_id).state
