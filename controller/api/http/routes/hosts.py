"""The endpoints of hosts whose controllers share the state: list them, and declare one lost."""

from typing import Annotated

from fastapi import Path, Request
from starlette.responses import Response

from controller.api.http.responses import author_of, dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.model.hosts import Host, LostHost
from controller.operations.hosts import declare_lost
from controller.store.hosts import find_hosts

router = api_router("/api/v1/hosts", "hosts")

Name = Annotated[str, Path(min_length=1, max_length=255, json_schema_extra={"pattern": "^[!-~]+$"})]


@router.get("", response_model=list[Host], summary="List hosts")
def hosts(request: Request) -> Response:
    """The output of `controller hosts -o json`. The list is empty if the state is not on a server."""
    with dependencies_of(request).store.read() as tx:
        return json_response(request, find_hosts(tx))


@router.post("/{name}/lost", response_model=LostHost, summary="Declare a host lost")
def lost(request: Request, name: Name) -> Response:
    """Ends its runs in progress as crashed. 409 if a controller there was seen in the last 30 seconds."""
    return json_response(request, declare_lost(dependencies_of(request).operations, name, author=author_of(request)))
