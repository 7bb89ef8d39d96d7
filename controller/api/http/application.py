"""The application: all routes, our errors as problem details, and the document that describes them (OpenAPI 3.1)."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from controller import __version__
from controller.api.dashboard import login_page, pages, run_pages
from controller.api.dashboard.templating import bare
from controller.api.http import strict_query
from controller.api.http.head_middleware import HeadMiddleware
from controller.api.http.problem_details import Problem, problem, problem_of
from controller.api.http.responses import Dependencies
from controller.api.http.routes import deployments, events, health, reconcile, runs
from controller.api.http.security_middleware import SecurityMiddleware
from controller.errors import ControllerError
from controller.queries.deployment_cache import DeploymentCache

log = logging.getLogger(__name__)

DESCRIPTION = """What `controller` shows and does, over HTTP. JSON is that of `controller … -o json`.

Send `Authorization: Bearer TOKEN`; the token is in the file `token` of the state directory. Errors are RFC 9457 problem
details. Lists are pages: `next` is the `cursor` of the next one. Answers to GET have an `ETag`."""

STRICT = (reconcile.router, deployments.router, runs.router, events.router)
API = (health.router, *STRICT)
PAGES = (login_page.router, pages.router, run_pages.router)


def make_application(parts: Dependencies, board: DeploymentCache, hosts: frozenset[str]) -> ASGIApp:
    """Everything that is served, behind its gate."""
    routes = HeadMiddleware(make_routes(parts, board))
    return SecurityMiddleware(
        routes, hosts=hosts, credentials=parts.credentials, cookie=parts.cookie, clock=parts.clock
    )


def make_routes(parts: Dependencies | None, board: DeploymentCache | None) -> FastAPI:
    """The routes without the gate; without parts only to be described."""
    app = FastAPI(
        title="controller",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts, app.state.board = parts, board
    for router in API:
        app.include_router(router, dependencies=[Depends(strict_query.check)] if router in STRICT else [])
    for router in PAGES:
        app.include_router(router, include_in_schema=False)
    app.add_exception_handler(ControllerError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
    plain = app.openapi
    app.openapi = lambda: _described(app, plain)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI, plain: Any) -> dict[str, Any]:
    """FastAPI's description, with what the gate asks for and what every route may answer."""
    if app.openapi_schema is None:
        document: dict[str, Any] = plain()
        parts = document.setdefault("components", {})
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schemas = parts.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        found = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(found.pop("$defs", {}))
        schemas["Problem"] = found
        document["security"] = [{"token": []}]
        reference = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for path, item in document["paths"].items():
            for operation in item.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {"description": "A problem (RFC 9457)", "content": reference}
                if path == "/healthz":
                    operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema


def _told(request: Request, answer: Response, detail: str, hint: str | None = None) -> Response:
    """The problem, or for a person a page that says so."""
    is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not is_page or request.url.path.startswith("/api/"):
        return answer
    status = answer.status_code
    return bare("error.html", status, title=f"{status} {HTTPStatus(status).phrase}", detail=detail, hint=hint)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ControllerError)
    return _told(request, problem_of(error), error.message, error.hint)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: list[dict[str, Any]] = [
        {"code": str(one["type"]), "message": str(one["msg"]), "path": list(one["loc"]), "hint": None}
        for one in error.errors()[:20]
    ]
    first = "; ".join(f"{' '.join(map(str, one['path']))}: {one['message']}" for one in faults)
    return _told(request, problem(422, "Usage", first[:500], errors=faults), first[:500])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reasons = {404: "NotFound", 405: "MethodNotAllowed", 400: "BadRequest", 415: "UnsupportedMediaType", 422: "Usage"}
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    headers = {name: "GET, HEAD" if value == "GET" else value for name, value in allowed.items()}
    reason = reasons.get(error.status_code, "Refused")
    answer = problem(error.status_code, reason, str(error.detail), headers=headers)
    return _told(request, answer, str(error.detail))


async def _internal(request: Request, error: Exception) -> Response:
    log.error("A request failed", exc_info=error, extra={"path": request.url.path})
    detail = f"internal error: {type(error).__name__}"
    hint = "This is a fault of controller; its log says more. Please report it."
    return _told(request, problem(500, "Internal", detail, hint=hint), detail, hint)
