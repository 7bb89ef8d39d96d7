"""Strict parsing of JSON bodies: duplicate keys are rejected, and every other parsing error has a clear message.

`routers` makes `StrictRoute` the class of the routes of the API.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from starlette.responses import Response

from controller.api.http.documented_route import DocumentedRoute

_SHOWN = 40


class StrictRoute(DocumentedRoute):
    """A route that parses its JSON body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, wrapped so that it parses the body strictly."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Parse the body. Raises HTTPException, and JSONDecodeError for invalid JSON, as FastAPI expects."""
        try:
            return json.loads(await self.body(), object_pairs_hook=_unique_keys)
        except json.JSONDecodeError:
            raise
        except UnicodeDecodeError as error:
            raise HTTPException(422, "The body is not UTF-8.") from error
        except RecursionError as error:
            raise HTTPException(422, "The body is nested too deeply.") from error
        except ValueError as error:
            digits = sys.get_int_max_str_digits()
            raise HTTPException(422, f"Cannot parse the body: a number has more than {digits} digits.") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            short = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
            raise HTTPException(422, f"Duplicate key {short!r}.")
        result[name] = value
    return result
