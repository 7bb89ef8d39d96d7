"""Renders the Jinja templates. They are read from this folder once and cached."""

import logging
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from controller import __version__
from controller.api.dashboard.artifact_views import markdown
from controller.api.dashboard.charts import duration_share, progress_bar
from controller.api.dashboard.deployment_filters import DEPLOYMENT_FILTERS
from controller.api.dashboard.form_inputs import form_input, has_null_choice
from controller.api.dashboard.run_progress import run_progress
from controller.api.dashboard.static_files import static_folder
from controller.api.dashboard.template_filters import FILTERS, duration, run_duration
from controller.api.http.responses import dependencies_of, response_with_etag
from controller.errors import ControllerError
from controller.model.findings import Severity
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.leadership import read_leadership
from controller.remotes import file_url, pull_request_url
from controller.store import commits, source_status

log = logging.getLogger(__name__)

HERE = Path(__file__).parent


@cache
def environment() -> Environment:
    """Return the Jinja environment: all values are escaped, and undefined names are errors."""
    jinja = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    jinja.filters.update(FILTERS | DEPLOYMENT_FILTERS, markdown=markdown)
    jinja.filters.update(form_input=form_input, has_null_choice=has_null_choice)
    jinja.globals.update(duration=duration, run_duration=run_duration, progress_bar=progress_bar, version=__version__)
    jinja.globals.update(static=static_folder())
    jinja.globals.update(run_progress=run_progress, duration_share=duration_share)
    jinja.globals.update(file_url=file_url, pull_request_url=pull_request_url)
    return jinja


def render(
    request: Request, template: str, *, tab: str, zone_of: str = "", status: int = 200, **values: Any
) -> Response:
    """Render a page with the common frame, and with an ETag if the status is 200.

    `zone_of` names the deployment whose time zone the tooltips of times show.
    """
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        source = source_status.find(tx)
        commit = None if source is None else commits.find(tx, source.last_applied_revision)
        leadership = read_leadership(tx, dependencies.state, dependencies.standing())
    ready = (
        next((condition for condition in source.conditions if condition.type.value == "Ready"), None)
        if source
        else None
    )
    zones = Zones(request.app.state.deployment_cache)
    errors = [finding for finding in source.findings if finding.severity is Severity.ERROR] if source else []
    frame = {
        "source_status": source,
        "ready": ready,
        "applied_commit": commit,
        "leadership": leadership,
        "invalid_files": len({finding.file for finding in errors}),
        "repo": str(dependencies.location.repo),
        "environment": dependencies.location.environment,
        "web_url": dependencies.web_url_template,
        "zones": zones,
        "zone": zones.get(zone_of),
    }
    context = {"tab": tab, **frame, **values}
    text = environment().get_template(template).render(context)
    if status != HTTPStatus.OK:
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)
    return response_with_etag(request, text.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8")


class Zones:
    """The time zones of deployments. The zone of a deployment is that of its first schedule."""

    def __init__(self, deployment_cache: DeploymentCache) -> None:
        deployment_cache.deployments()
        self._deployment_cache = deployment_cache

    def get(self, name: str | None) -> str:
        """Return the time zone of a deployment; an empty string if it has no schedule or is unknown."""
        schedules = self._deployment_cache.schedules(name or "")
        return schedules[0].timezone if schedules else ""


def render_error(request: Request, status: int, detail: str, hint: str | None) -> Response:
    """Render an error page: with the common frame, unless the caller is unknown or the state cannot be read."""
    values: dict[str, Any] = {"title": f"{status} {HTTPStatus(status).phrase}", "detail": detail, "hint": hint}
    if request.scope.get("caller") is not None:
        try:
            return render(request, "error.html", tab="", status=status, has_frame=True, **values)
        except ControllerError as error:
            log.warning("Error page without navigation: cannot read the state", extra={"error": error.message})
    return bare("error.html", status, has_frame=False, **values)


def bare(template: str, status: int = 200, **values: Any) -> Response:
    """Render a page without the common frame: login and errors."""
    return HTMLResponse(environment().get_template(template).render(values), status)
