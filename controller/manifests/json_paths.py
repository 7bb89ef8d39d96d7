"""Compiles JSONPath queries (RFC 9535), and finds their values in JSON.

`webhook_fields` and `triggers.webhooks` use it. It is the only module that imports `jsonpath`, with the first query.
"""

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonpath import JSONPath, JSONPathEnvironment

_COMPILED = 1000


class JsonPathError(ValueError):
    """The query is not valid, or has no value in this JSON. The message says why."""


def check_query(query: str) -> None:
    """Raise JsonPathError if the query is not a valid JSONPath of RFC 9535."""
    _compile(query)


def find_value(query: str, value: Any) -> Any:
    """Return the value that a query selects in a JSON value.

    A singular query, with names and indexes only, selects one value. Other queries select a list, which may be empty.
    Raises JsonPathError if a singular query selects nothing.
    """
    from jsonpath import JSONPathError

    path = _compile(query)
    # `jsonpath` would parse a string as JSON.
    try:
        nodes = [match.obj for match in path.finditer(value)] if isinstance(value, list | dict) else []
    except (RecursionError, JSONPathError):
        raise JsonPathError("the body is nested too deeply") from None
    if not path.singular_query():
        return nodes
    if query == "$":
        return value
    if not nodes:
        raise JsonPathError(f"there is no {query} in the body")
    return nodes[0]


@functools.lru_cache(maxsize=_COMPILED)
def _compile(query: str) -> "JSONPath":
    from jsonpath import CompoundJSONPath, JSONPathError

    if not query.startswith("$"):
        raise JsonPathError("it must begin with $")
    try:
        path = _environment().compile(query)
    except (JSONPathError, ValueError, RecursionError) as error:
        # `str` of an error of `jsonpath` can fail.
        raise JsonPathError("it is nested too deeply" if isinstance(error, RecursionError) else error.args[0]) from None
    assert not isinstance(path, CompoundJSONPath)  # RFC 9535 has none
    return path


@functools.cache
def _environment() -> "JSONPathEnvironment":
    from jsonpath import JSONPathEnvironment

    return JSONPathEnvironment(strict=True)
