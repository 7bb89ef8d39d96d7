"""Makes the routers of the API and of the dashboard.

`application` serves their routes as they are: `FastAPI.include_router` would build every route a second time, at the
first request. So a router declares all that holds for its routes.
"""

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from controller.api.http import strict_query
from controller.api.http.documented_route import DocumentedRoute
from controller.api.http.strict_json import StrictRoute


def api_router(prefix: str, tag: str) -> APIRouter:
    """Return a router whose routes accept only their own query parameters, and JSON bodies without duplicate keys."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=StrictRoute,
        dependencies=[Depends(strict_query.check)],
        generate_unique_id_function=_name,
    )


def lenient_router(prefix: str, tag: str | None = None) -> APIRouter:
    """Return a router of the API whose routes ignore unknown query parameters. For callers that we don't write."""
    return APIRouter(
        prefix=prefix,
        tags=None if tag is None else [tag],
        route_class=DocumentedRoute,
        generate_unique_id_function=_name,
    )


def page_router() -> APIRouter:
    """Return a router for pages of the dashboard, which the OpenAPI document omits."""
    return APIRouter(include_in_schema=False)


def _name(route: APIRoute) -> str:
    """Return the name of a route as its unique id."""
    return route.name
