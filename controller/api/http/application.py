"""Builds the FastAPI application: routes, error handlers that return problem details, and the OpenAPI 3.1 document."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from controller import __version__
from controller.api.dashboard import (
    backfill_pages,
    deployment_list_page,
    deployment_pages,
    graph_page,
    login_page,
    notification_page,
    overview_page,
    pages,
    run_list_page,
    run_pages,
    settings_page,
    source_page,
    static_files,
)
from controller.api.dashboard.templating import render_error
from controller.api.http.credentials import Credentials
from controller.api.http.documented_route import DocumentedRoute
from controller.api.http.forwarder import NODE, Forwarder
from controller.api.http.forwarding import ForwardingMiddleware
from controller.api.http.head_middleware import HeadMiddleware
from controller.api.http.problem_details import Problem, problem, problem_of
from controller.api.http.responses import Dependencies
from controller.api.http.routes import (
    backfills,
    deployments,
    events,
    graph,
    health,
    hooks,
    hosts,
    leadership,
    node,
    notifications,
    python,
    reconcile,
    run_logs,
    runs,
    search,
    settings,
    summary,
)
from controller.api.http.security_middleware import SecurityMiddleware
from controller.clock import Clock
from controller.errors import ControllerError
from controller.queries.deployment_cache import DeploymentCache
from controller.runs.executors.remote.node_desk import NodeDesk

log = logging.getLogger(__name__)

DESCRIPTION = """The HTTP API of `controller`. Its JSON is the same as that of `controller … -o json`.

Send `Authorization: Bearer TOKEN`; the token is in the file `token` in the state directory. Errors are RFC 9457 problem
details. Lists are paginated: pass `next` as the `cursor` of the next request. Responses to GET have an `ETag`."""

API = (
    health.router,
    hooks.router,
    reconcile.router,
    leadership.router,
    summary.router,
    settings.router,
    deployments.router,
    graph.router,
    backfills.router,
    runs.router,
    run_logs.router,
    python.router,
    notifications.router,
    hosts.router,
    events.router,
    search.router,
)
PAGES = (
    login_page.router,
    static_files.router,
    overview_page.router,
    pages.router,
    deployment_pages.router,
    backfill_pages.router,
    deployment_list_page.router,
    graph_page.router,
    run_list_page.router,
    run_pages.router,
    source_page.router,
    notification_page.router,
    settings_page.router,
)


def make_application(
    dependencies: Dependencies,
    deployment_cache: DeploymentCache,
    hosts: frozenset[str],
    node_desk: NodeDesk | None = None,
    forwarder: Forwarder | None = None,
    *,
    has_nodes: bool = False,
) -> ASGIApp:
    """Return the complete ASGI application, including the security middleware, and the node API if there is a desk.

    A standby has a `forwarder`. `has_nodes`: nodes send their requests to this address.
    """
    app = make_routes(dependencies, deployment_cache)
    if node_desk is not None:
        node.add_routes(app, node_desk)
    routes: ASGIApp = HeadMiddleware(app)
    if forwarder is not None:
        routes = ForwardingMiddleware(routes, forwarder, dependencies.credentials)
    return SecurityMiddleware(
        routes,
        hosts=hosts,
        credentials=dependencies.credentials,
        cookie=dependencies.cookie,
        clock=dependencies.clock,
        has_nodes=has_nodes,
    )


def make_node_application(
    node_api: NodeDesk | Forwarder, hosts: frozenset[str], credentials: Credentials, clock: Clock
) -> ASGIApp:
    """Return an application that has only the node API, for an address of its own. A standby forwards its requests."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _add_error_handlers(app)
    routes: ASGIApp = app
    if isinstance(node_api, Forwarder):
        routes = ForwardingMiddleware(app, node_api, credentials, folder=NODE)
    else:
        node.add_routes(app, node_api)
    return SecurityMiddleware(routes, hosts=hosts, credentials=credentials, cookie="", clock=clock, has_nodes=True)


def make_routes(dependencies: Dependencies | None, deployment_cache: DeploymentCache | None) -> FastAPI:
    """Return the routes without the middleware; without dependencies only to generate the OpenAPI document."""
    app = FastAPI(
        title="controller",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.dependencies, app.state.deployment_cache = dependencies, deployment_cache
    for router in (*API, *PAGES):
        app.router.routes.extend(router.routes)
    _add_error_handlers(app)
    generate = app.openapi
    app.openapi = lambda: _openapi(app, generate)  # type: ignore[method-assign]
    return app


def _add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ControllerError, _controller_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)


def _openapi(app: FastAPI, generate: Any) -> dict[str, Any]:
    """Return FastAPI's document, extended by the security scheme and the problem response of every route."""
    if app.openapi_schema is None:
        for route in app.routes:
            if isinstance(route, DocumentedRoute):
                route.document()
        document: dict[str, Any] = generate()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schemas = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for schema in schemas.values():
            is_request = schema.get("additionalProperties") is False
            if "properties" in schema and not is_request:  # responses have all keys, also those with a default
                schema["required"] = list(schema["properties"])
        problem_schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem_schema.pop("$defs", {}))
        schemas["Problem"] = problem_schema
        document["security"] = [{"token": []}]
        reference = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for path, item in document["paths"].items():
            for operation in item.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {"description": "Problem details (RFC 9457)", "content": reference}
                if path == "/healthz":
                    operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema


async def _error_response(request: Request, response: Response, detail: str, hint: str | None = None) -> Response:
    """Return the problem details, or an error page if a browser requested a page."""
    is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not is_page or request.url.path.startswith("/api/"):
        return response
    return await run_in_threadpool(render_error, request, response.status_code, detail, hint)


async def _controller_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ControllerError)
    return await _error_response(request, problem_of(error), error.message, error.hint)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: list[dict[str, Any]] = [
        {"code": str(item["type"]), "message": str(item["msg"]), "path": list(item["loc"]), "hint": None}
        for item in error.errors()[:20]
    ]
    detail = "; ".join(f"{' '.join(map(str, fault['path']))}: {fault['message']}" for fault in faults)[:500]
    return await _error_response(request, problem(422, "Usage", detail, errors=faults), detail)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reasons = {404: "NotFound", 405: "MethodNotAllowed", 400: "BadRequest", 415: "UnsupportedMediaType", 422: "Usage"}
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    headers = {name: "GET, HEAD" if value == "GET" else value for name, value in allowed.items()}
    reason = reasons.get(error.status_code, "Refused")
    response = problem(error.status_code, reason, str(error.detail), headers=headers)
    return await _error_response(request, response, str(error.detail))


async def _internal_error(request: Request, error: Exception) -> Response:
    log.error("Request failed", exc_info=error, extra={"path": request.url.path})
    detail = f"internal error: {type(error).__name__}"
    hint = "This is a bug in controller. See its log for details, and please report it."
    return await _error_response(request, problem(500, "Internal", detail, hint=hint), detail, hint)
