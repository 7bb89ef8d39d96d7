"""A whole log as a download: read from its files piece by piece while it is sent, so that its length costs no memory.

The route of raw logs answers with `download`.
"""

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from controller.api.http.head_middleware import is_head
from controller.api.http.responses import entity_headers, is_known
from controller.queries.run_logs import read_range, with_sizes

PIECE_BYTES = 1 << 18


def download(request: Request, files: list[Path], name: str) -> Response:
    """These files in a row, as long as they are now. Reads when it is sent, in other threads than the server's."""
    sizes = with_sizes(files)
    # By their sizes and times: to read them for a tag would cost as much as to send them.
    seen = repr([(path.parent.name, size, _changed(path)) for path, size in sizes]).encode()
    headers = entity_headers(hashlib.sha256(seen))
    if is_known(request, headers):
        return Response(status_code=304, headers=headers)
    total = sum(size for _, size in sizes)
    headers |= {"content-disposition": f'attachment; filename="{name}"', "content-length": str(total)}
    if is_head(request.scope):
        return Response(headers=headers, media_type=_TYPE)
    return _Download(_pieces(sizes), total, headers)


class _Download(StreamingResponse):
    """Breaks the connection off if less comes than was announced: nobody is to take a part for the whole."""

    def __init__(self, pieces: AsyncGenerator[bytes], total: int, headers: dict[str, str]) -> None:
        super().__init__(pieces, headers=headers, media_type=_TYPE)
        self._pieces = pieces
        self._left = total

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for piece in self._pieces:
            self._left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not self._left:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(sizes: list[tuple[Path, int]]) -> AsyncGenerator[bytes]:
    offset = 0
    while piece := await run_in_threadpool(read_range, sizes, offset, PIECE_BYTES):
        offset += len(piece)
        yield piece


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # it was forgotten just now
        return 0


_TYPE = "application/octet-stream"
