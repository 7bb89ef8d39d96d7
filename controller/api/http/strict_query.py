"""Whether a request asks what its route knows: a misspelt filter is refused, and a body that is not called JSON.

`application` puts `check` before every route of the API.
"""

from typing import Any, get_args, get_origin

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute

from controller.errors import UsageError

_SHOWN = 40


async def check(request: Request) -> None:
    """Raises UsageError for a parameter that is not known or given twice, HTTPException for a body that is no JSON."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = {field.alias: field.field_info.annotation for field in route.dependant.query_params}
    given: set[str] = set()
    for name, _ in request.query_params.multi_items():
        short = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
        if name not in known:
            takes = f"It takes: {', '.join(sorted(known))}." if known else "It takes none."
            raise UsageError(f"There is no parameter {short!r} here.", hint=takes)
        if name in given and not _is_list(known[name]):
            raise UsageError(f"The parameter {short!r} is given more than once.")
        given.add(name)
    if route.body_field is not None and await request.body() and not _is_json(request):
        raise HTTPException(415, "The body is to be JSON, and to be called so: `Content-Type: application/json`.")


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(get_origin(one) is list for one in get_args(annotation))


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
