"""The endpoint of leadership: which controller leads, and the role of the one that answers."""

from fastapi import Request
from starlette.responses import Response

from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.queries.leadership import Leadership, read_leadership

router = api_router("/api/v1", "leadership")


def leadership_of(request: Request) -> Leadership | None:
    """Return which controller leads; None for a state in a file. Raises StateError."""
    dependencies = dependencies_of(request)
    with dependencies.store.read() as tx:
        return read_leadership(tx, dependencies.state, dependencies.standing())


@router.get("/leadership", response_model=Leadership, summary="Get which controller leads")
def leadership(request: Request) -> Response:
    """Which controller leads, and whether the one that answers is the leader or a standby. Null for a state in a file.

    A standby answers this itself.
    """
    return json_response(request, leadership_of(request) or Leadership())
