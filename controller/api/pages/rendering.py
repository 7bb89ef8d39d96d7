"""Templates to pages, and the files beside them. Everything is loaded from this folder once, by name."""

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from controller import __version__
from controller.api.pages.words import FILTERS, lasted
from controller.api.web.parts import parts_of, tagged
from controller.store import sources

HERE = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def environment() -> Environment:
    """Escapes everything, and knows no undefined names."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    made.globals.update(lasted=lasted, version=__version__)
    return made


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """The scripts, styles and pictures by their names."""
    return {
        path.name: (path.read_bytes(), _TYPES[path.suffix])
        for path in (HERE / "static").iterdir()
        if path.suffix in _TYPES
    }


def render(request: Request, template: str, *, tab: str, **values: Any) -> Response:
    """A page of the dashboard, with an entity tag."""
    parts = parts_of(request)
    with parts.store.read() as tx:
        source = sources.find(tx)
    ready = next((one for one in source.conditions if one.type.value == "Ready"), None) if source else None
    context = {"tab": tab, "source_status": source, "ready": ready, "repo": str(parts.location.repo), **values}
    text = environment().get_template(template).render(context)
    return tagged(request, text.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8")


def bare(template: str, status: int = 200, **values: Any) -> Response:
    """A page without the frame of the dashboard."""
    return HTMLResponse(environment().get_template(template).render(values), status)
