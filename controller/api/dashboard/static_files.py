"""The static files of the dashboard: scripts, styles and icons. They contain no data and need no login.

Their URLs contain a digest of all of them, so that browsers keep them: a page that is opened again requests none of
them, and one of another version requests its own. Imports between scripts are relative, so they have the digest too.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fastapi import Request
from starlette.responses import Response

from controller.api.http.compression import compress
from controller.api.http.problem_details import problem
from controller.api.http.responses import response_with_etag
from controller.api.http.routers import page_router
from controller.api.http.security_middleware import PUBLIC_FOLDER
from controller.records import dataclass

router = page_router()

FOREVER = "public, max-age=31536000, immutable"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """A file, and the same compressed with gzip."""

    content: bytes
    media_type: str
    compressed: bytes


@cache
def static_files() -> dict[str, StaticFile]:
    """Return the static files by name. They are read once."""
    paths = sorted(path for path in (Path(__file__).parent / "static").iterdir() if path.suffix in _MEDIA_TYPES)
    return {path.name: _read(path) for path in paths}


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(content=content, media_type=_MEDIA_TYPES[path.suffix], compressed=compress(content, 9))


@cache
def static_folder() -> str:
    """Return the URL path of the static files, without a slash at the end."""
    return folder_url(static_files())


def folder_url(files: Mapping[str, StaticFile]) -> str:
    """Return the URL path of these files. It changes with the name or the content of any of them."""
    digest = hashlib.sha256()
    for name, file in files.items():
        digest.update(f"{name} {len(file.content)}\n".encode() + file.content)
    return f"{PUBLIC_FOLDER}{digest.hexdigest()[:16]}"


@router.get(PUBLIC_FOLDER + "{digest}/{name}")
def static(request: Request, digest: str, name: str) -> Response:
    """Serve a static file. With the digest of another version, whose page is still open, browsers must not keep it."""
    file = static_files().get(name)
    if file is None:
        return problem(404, "NotFound", "File not found.")
    response = response_with_etag(request, file.content, file.media_type, compressed=file.compressed)
    if PUBLIC_FOLDER + digest == static_folder():
        response.headers["cache-control"] = FOREVER
    return response
