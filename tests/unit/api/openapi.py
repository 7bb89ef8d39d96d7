"""The OpenAPI document, made once for all tests that need it."""

from functools import cache
from typing import Any

import schemathesis

from controller.api.http.application import make_routes


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    return make_routes(None, None).openapi()


@cache
def schema() -> Any:
    """Return the document as schemathesis sees it."""
    return schemathesis.openapi.from_dict(document())
