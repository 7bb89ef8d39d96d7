"""The settings page: the version, the source, the limits, the address, and the size of the state."""

from fastapi import Request
from starlette.responses import Response

from controller.api.dashboard.templating import render
from controller.api.http.routers import page_router
from controller.api.http.routes.settings import settings_of

router = page_router()


@router.get("/settings")
def settings(request: Request) -> Response:
    """The settings of the running controller."""
    return render(request, "settings.html", tab="Settings", settings=settings_of(request))
