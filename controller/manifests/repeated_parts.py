"""Reads parts of documents, and remembers what was read: most deployments of a repository have some parts in common.

`build` calls it. Only for functions that depend on nothing but the values of some keys and their arguments, and whose
results are never changed.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, TypeVarTuple

from controller.manifests.validation_context import ValidationContext

Part = TypeVar("Part")
Arguments = TypeVarTuple("Arguments")

MAX_PARTS = 2048
MAX_LENGTH = 1000
"""Limits for the parts that are remembered, and for the length of their values."""

_KNOWN: dict[Hashable, Any] = {}
_UNKNOWN = object()


def read_part(
    context: ValidationContext,
    keys: tuple[str, ...],
    read: Callable[[ValidationContext, *Arguments], Part],
    *arguments: *Arguments,
) -> Part:
    """Return what `read` returns for this document, which must depend on no other of its keys. Thread-safe.

    It is only remembered for documents without problems: problems have positions, and later rules depend on them.
    """
    if context.problems:
        return read(context, *arguments)
    document = context.value
    try:
        values = repr([(key, document[key]) for key in keys if key in document])  # unlike ==, tells 1 from true and 1.0
    except ValueError:  # an integer with too many digits
        return read(context, *arguments)
    key = (read, arguments, values)
    known = _KNOWN.get(key, _UNKNOWN)
    if known is not _UNKNOWN:
        found: Part = known
        return found
    part = read(context, *arguments)
    if not context.problems and len(values) <= MAX_LENGTH:
        if len(_KNOWN) >= MAX_PARTS:
            _KNOWN.clear()
        _KNOWN[key] = part
    return part
