"""The endpoints of Python environments: list and details."""

from typing import Annotated

from fastapi import Path, Request
from starlette.responses import Response

from controller.api.http.responses import dependencies_of, json_response
from controller.api.http.routers import api_router
from controller.queries.python_environments import (
    PythonEnvironmentDetail,
    PythonEnvironmentRow,
    find_python_environment,
    python_environments,
)

router = api_router("/api/v1/python", "python")

Digest = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{1,64}$"})]


@router.get("", response_model=list[PythonEnvironmentRow], summary="List Python environments, problems first")
def environments(request: Request) -> Response:
    """The output of `controller python list -o json`."""
    with dependencies_of(request).store.read() as tx:
        return json_response(request, python_environments(tx))


@router.get("/{digest}", response_model=PythonEnvironmentDetail, summary="Get a Python environment")
def environment(request: Request, digest: Digest) -> Response:
    """By the beginning of its digest: its packages, its deployments, its lock, and the end of the log of its build."""
    with dependencies_of(request).store.read() as tx:
        return json_response(request, find_python_environment(tx, digest))
