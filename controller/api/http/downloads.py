"""Sends a whole log as a download, read from its files in pieces, so that its length does not affect memory use.

Called by the route of raw logs in `controller.api.http.routes.runs`.
"""

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from controller.api.http.head_middleware import is_head
from controller.api.http.responses import entity_headers, is_not_modified
from controller.queries.run_logs import read_range, with_sizes

PIECE_BYTES = 1 << 18


def download(request: Request, files: list[Path], name: str) -> Response:
    """Return a response that sends these files one after another, at their current sizes.

    They are read in worker threads while the response is sent.
    """
    sizes = with_sizes(files)
    # The tag is made from sizes and times: hashing the contents would cost as much as sending them.
    identity = repr([(path.parent.name, size, _modification_time(path)) for path, size in sizes]).encode()
    headers = entity_headers(hashlib.sha256(identity))
    if is_not_modified(request, headers):
        return Response(status_code=304, headers=headers)
    total = sum(size for _, size in sizes)
    headers |= {"content-disposition": f'attachment; filename="{name}"', "content-length": str(total)}
    if is_head(request.scope):
        return Response(headers=headers, media_type=_TYPE)
    return _Download(_pieces(sizes), total, headers)


class _Download(StreamingResponse):
    """Closes the connection if the files are shorter than announced: a client must not take a part for the whole."""

    def __init__(self, pieces: AsyncGenerator[bytes], total: int, headers: dict[str, str]) -> None:
        super().__init__(pieces, headers=headers, media_type=_TYPE)
        self._pieces = pieces
        self._remaining = total

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for piece in self._pieces:
            self._remaining -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not self._remaining:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(sizes: list[tuple[Path, int]]) -> AsyncGenerator[bytes]:
    offset = 0
    while piece := await run_in_threadpool(read_range, sizes, offset, PIECE_BYTES):
        offset += len(piece)
        yield piece


def _modification_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # it was deleted in the meantime
        return 0


_TYPE = "application/octet-stream"
