"""Templates to pages, and the files beside them. Everything is loaded from this folder once, by name."""

from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from controller import __version__
from controller.api.dashboard.artifact_views import markdown
from controller.api.dashboard.template_filters import FILTERS, lasted
from controller.api.http.responses import dependencies_of, tagged
from controller.model.findings import Severity
from controller.queries.deployment_cache import DeploymentCache
from controller.store import source_status

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
    made.filters.update(FILTERS, markdown=markdown)
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


def render(
    request: Request, template: str, *, tab: str, zone_of: str = "", status: int = 200, **values: Any
) -> Response:
    """A page of the dashboard, with an entity tag; `zone_of` is the deployment in whose zone its times are told too."""
    parts = dependencies_of(request)
    with parts.store.read() as tx:
        source = source_status.find(tx)
    ready = next((one for one in source.conditions if one.type.value == "Ready"), None) if source else None
    zones = Zones(request.app.state.board)
    bad_files = {one.file for one in source.findings if one.severity is Severity.ERROR} if source else set()
    frame = {
        "source_status": source,
        "ready": ready,
        "bad_files": len(bad_files),
        "repo": str(parts.location.repo),
        "environment": parts.location.environment,
        "zones": zones,
        "zone": zones.get(zone_of),
    }
    context = {"tab": tab, **frame, **values}
    text = environment().get_template(template).render(context)
    if status != HTTPStatus.OK:
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)
    return tagged(request, text.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8")


class Zones:
    """The time zone of a deployment by its name: that of its first schedule; empty without one."""

    def __init__(self, board: DeploymentCache) -> None:
        board.deployments()
        self._board = board

    def get(self, name: str | None) -> str:
        """Of another name, none."""
        schedules = self._board.schedules(name or "")
        return schedules[0].timezone if schedules else ""


def bare(template: str, status: int = 200, **values: Any) -> Response:
    """A page without the frame of the dashboard."""
    return HTMLResponse(environment().get_template(template).render(values), status)
