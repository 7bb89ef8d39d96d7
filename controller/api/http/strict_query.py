"""Rejects unknown and repeated query parameters, for example a misspelt filter, and bodies that are not JSON.

`routers` makes `check` a dependency of every route of the API.
"""

from typing import Any, get_args, get_origin

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute

from controller.errors import UsageError

_SHOWN = 40


async def check(request: Request) -> None:
    """Raise UsageError for an unknown or repeated parameter, HTTPException 415 for a body not declared as JSON."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    allowed = {field.alias: field.field_info.annotation for field in route.dependant.query_params}
    names: set[str] = set()
    for name, _ in request.query_params.multi_items():
        short = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
        if name not in allowed:
            hint = f"Allowed: {', '.join(sorted(allowed))}." if allowed else "This endpoint has no query parameters."
            raise UsageError(f"Unknown query parameter {short!r}.", hint=hint)
        if name in names and not _is_list(allowed[name]):
            raise UsageError(f"Query parameter {short!r} is given more than once.")
        names.add(name)
    if route.body_field is not None and await request.body() and not _is_json(request):
        raise HTTPException(415, "Expected a JSON body with `Content-Type: application/json`.")


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(get_origin(argument) is list for argument in get_args(annotation))


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
