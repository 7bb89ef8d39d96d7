"""The endpoints of the logs of runs: parts by offset or by line number, search, download, and the live stream."""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from controller.api.http.downloads import download
from controller.api.http.responses import Dependencies, RunIdText, dependencies_of, json_response, text_responses
from controller.api.http.routers import api_router
from controller.api.http.security_middleware import Caller
from controller.api.http.sse import EventStream, LastEventId, message
from controller.errors import NotFoundError, UsageError
from controller.model.runs import RunState
from controller.queries.run_logs import CHUNK_BYTES, LogChunk, log_chunk, tail_offset
from controller.queries.runs import exact_run
from controller.runs.log_files import log_files, log_pieces
from controller.runs.log_lines import LogLines, RunLog
from controller.runs.log_search import LogSearch

router = api_router("/api/v1/runs", "runs")

MAX_LINES = 250

Tail = Annotated[int | None, Query(ge=0, le=10_000)]
Attempt = Annotated[int | None, Query(ge=1, le=1 << 30)]
LineNumber = Annotated[int, Query(ge=1, le=1 << 53)]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
NewMessage = Callable[[Dependencies, str, int], tuple[int, dict[str, object]]]
"""Returns the offset of the end of the log, and the next message if that is not the offset that was passed."""


@router.get("/{run_id}/logs", response_model=LogChunk, summary="Get a part of the log")
def logs(
    request: Request,
    run_id: RunIdText,
    offset: Annotated[int, Query(ge=0, le=1 << 60)] = 0,
    limit: Annotated[int, Query(ge=1, le=1 << 20)] = CHUNK_BYTES,
    tail: Tail = None,
) -> Response:
    """The bytes from `offset` to `next_offset` as text; `size` is the current length of the log.

    With `tail`, the last lines. The controller inserts a line between attempts.
    """
    dependencies = dependencies_of(request)
    _state(dependencies, run_id)
    pieces = log_pieces(dependencies.state.runs, run_id)
    begin = offset if tail is None else tail_offset(pieces, tail)
    return json_response(request, log_chunk(pieces, begin, limit))


@router.get("/{run_id}/logs/lines", response_model=LogLines, summary="Get lines of the log")
def log_lines(
    request: Request,
    run_id: RunIdText,
    from_line: Annotated[int, Query(ge=-(1 << 53), le=1 << 53)] = 1,
    count: Annotated[int, Query(ge=1, le=MAX_LINES)] = 200,
    line: Annotated[list[LineNumber] | None, Query(max_length=MAX_LINES)] = None,
    attempt: Attempt = None,
) -> Response:
    """Up to `count` lines from number `from_line` on, of all attempts or of one; a negative number counts from the end.

    With `line`, which may be repeated, the lines with these numbers.
    """
    log = _run_log(dependencies_of(request), run_id)
    lines = log.window(from_line, count, attempt) if line is None else log.select(sorted(set(line)))
    return json_response(request, lines)


@router.get("/{run_id}/logs/search", response_model=LogSearch, summary="Search the log")
def search_log(
    request: Request,
    run_id: RunIdText,
    q: Annotated[str | None, Query(min_length=1, max_length=1000, pattern=r"^[^\n]*$")] = None,
    level: Annotated[list[Level] | None, Query(max_length=5)] = None,
    *,
    regex: bool = False,
    ignore_case: bool = False,
    attempt: Attempt = None,
    limit: Annotated[int, Query(ge=0, le=MAX_LINES)] = 50,
) -> Response:
    """The lines of all attempts, or of one, that contain the text `q`; without `q`, those with one of the levels.

    The default levels are ERROR and CRITICAL, which include tracebacks. With `regex`, `q` is a regular expression of
    Python's `re`, matched against each line without colours. A search that takes longer than 5 seconds is an error
    (422).
    """
    dependencies = dependencies_of(request)
    searcher, log = dependencies.log_searcher, _run_log(dependencies, run_id)
    if q is not None and level is not None:
        raise UsageError("`q` and `level` exclude each other.")
    if q is None:
        levels = level or ["ERROR", "CRITICAL"]
        return json_response(request, searcher.search_levels(log, levels, attempt=attempt, limit=limit))
    search = searcher.search_expression if regex else searcher.search_text
    return json_response(request, search(log, q, ignore_case=ignore_case, attempt=attempt, limit=limit))


@router.get(
    "/{run_id}/logs/raw",
    summary="Download the log",
    response_class=Response,
    responses=text_responses("application/octet-stream"),
)
def raw(request: Request, run_id: RunIdText) -> Response:
    """The current content of the logs of all attempts, as raw bytes for saving to a file."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        run = exact_run(tx, run_id)
    return download(request, log_files(dependencies.state.runs, run.id), f"{run.deployment}-{run.id}.log")


@router.get(
    "/{run_id}/logs/stream",
    summary="Stream the log",
    response_class=Response,
    responses=text_responses("text/event-stream"),
)
async def follow_log(
    request: Request,
    run_id: RunIdText,
    offset: Annotated[int, Query(ge=0, le=1 << 60)] = 0,
    tail: Tail = None,
    last_event_id: LastEventId = None,
    *,
    count_only: bool = False,
) -> Response:
    """Server-sent events: `log` with a part of the log, and `end` with the state. The event id is the next offset.

    With `tail`, the stream starts with the last lines so far, unless `Last-Event-ID` gives an offset. With
    `count_only`, `log` has the number of lines so far (`total_lines`) instead of text.
    """
    dependencies = dependencies_of(request)
    caller: Caller = request.scope["caller"]
    await run_in_threadpool(_state, dependencies, run_id)
    begin = int(last_event_id) if last_event_id else offset
    if tail is not None and not last_event_id:
        begin = await run_in_threadpool(_tail_offset, dependencies, run_id, tail)
    new_message = _new_count if count_only else _new_part
    return EventStream(_log_messages(dependencies, run_id, begin, new_message), dependencies.streams, caller.key)


async def _log_messages(
    dependencies: Dependencies, run_id: str, offset: int, new_message: NewMessage
) -> AsyncGenerator[bytes]:
    with suppress(NotFoundError):  # the run was deleted in the meantime: the next request gets a 404
        while True:
            # Read the state before the log, so that all output is sent before `end`.
            state = await run_in_threadpool(_state, dependencies, run_id)
            while True:
                next_offset, body = await run_in_threadpool(new_message, dependencies, run_id, offset)
                if next_offset == offset:
                    break
                offset = next_offset
                yield message(body, event="log", number=str(offset))
            if state.is_terminal:
                yield message({"state": state.value}, event="end", number=str(offset))
                return
            yield b""
            if not await dependencies.streams.pause():
                return


def _new_part(dependencies: Dependencies, run_id: str, offset: int) -> tuple[int, dict[str, object]]:
    chunk = log_chunk(log_pieces(dependencies.state.runs, run_id), offset, CHUNK_BYTES)
    return chunk.next_offset if chunk.text else offset, {"text": chunk.text, "size": chunk.size}


def _new_count(dependencies: Dependencies, run_id: str, _offset: int) -> tuple[int, dict[str, object]]:
    log = RunLog(dependencies.log_indexes, dependencies.state.runs, run_id, complete=False)
    return log.size, {"total_lines": log.total_lines, "size": log.size}


def _tail_offset(dependencies: Dependencies, run_id: str, lines: int) -> int:
    return tail_offset(log_pieces(dependencies.state.runs, run_id), lines)


def _run_log(dependencies: Dependencies, run_id: str) -> RunLog:
    # Read the state before the log, so that a complete log has all output.
    is_complete = _state(dependencies, run_id).is_terminal
    return RunLog(dependencies.log_indexes, dependencies.state.runs, run_id, complete=is_complete)


def _state(dependencies: Dependencies, run_id: str) -> RunState:
    with dependencies.store.read() as tx:
        return exact_run(tx, run_id).state
