"""How bodies are read: a key that is given twice is refused, and what can't be read is said.

The routers of the API take `StrictRoute` for their routes.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

_SHOWN = 40


class StrictRoute(APIRoute):
    """A route whose body has one meaning."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI, which reads the body with our eyes."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The value of the body. Raises HTTPException, and JSONDecodeError where it is no JSON, as FastAPI expects."""
        try:
            return json.loads(await self.body(), object_pairs_hook=_once)
        except json.JSONDecodeError:
            raise
        except UnicodeDecodeError as error:
            raise HTTPException(422, "The body is not UTF-8.") from error
        except RecursionError as error:
            raise HTTPException(422, "The body is nested too deeply to be read.") from error
        except ValueError as error:
            digits = sys.get_int_max_str_digits()
            raise HTTPException(422, f"The body can't be read: a number has more than {digits} digits.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            short = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
            raise HTTPException(422, f"The key {short!r} is given more than once.")
        found[name] = value
    return found
