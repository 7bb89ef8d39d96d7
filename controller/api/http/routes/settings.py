"""The endpoint of the controller's settings."""

from fastapi import Request
from starlette.responses import Response

from controller.api.http.credentials import SESSION_LIFE
from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.queries.settings import KeptHistory, SettingsView, read_settings
from controller.runs import retention

router = api_router("/api/v1", "settings")


def settings_of(request: Request) -> SettingsView:
    """Return the settings of the running controller."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        return read_settings(
            tx,
            dependencies.settings,
            dependencies.state,
            history=KeptHistory(runs=retention.RUNS, days=retention.DAYS, events=retention.EVENTS),
            url=dependencies.url(),
            session_seconds=SESSION_LIFE.total_seconds(),
            web_url_template=dependencies.web_url_template,
            standing=dependencies.standing(),
        )


@router.get("/settings", response_model=SettingsView, summary="Get the settings of the controller")
def settings(request: Request) -> Response:
    """The settings of the running controller, its limits, and the size of its state. Contains no secrets."""
    return json_response(request, settings_of(request))
