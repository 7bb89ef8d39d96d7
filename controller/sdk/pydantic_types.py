"""Conversion for type hints that only Pydantic supports, with the Pydantic that the flow itself has imported.

Called by `value_conversion`. Nothing here imports Pydantic.
"""

import sys
import typing
from collections.abc import Callable
from typing import Any

from controller.sdk.messages import spell
from controller.sdk.value_errors import Fault, Path


def is_pydantic_hint(hint: Any) -> bool:
    """Return whether the hint is a Pydantic model, or is annotated for Pydantic. False if Pydantic is not imported."""
    if "pydantic" not in sys.modules:
        return False
    if typing.get_origin(hint) is typing.Annotated:
        return any(
            type(annotation).__module__.partition(".")[0] in ("pydantic", "annotated_types")
            for annotation in hint.__metadata__
        )
    return hasattr(hint, "__pydantic_validator__") or callable(getattr(hint, "parse_obj", None))


def pydantic_validator(hint: Any) -> Callable[[Any], Any] | None:
    """Return the function that validates values for this hint; None if this version of Pydantic has none."""
    adapter = getattr(sys.modules["pydantic"], "TypeAdapter", None)
    if adapter is not None:
        validate: Callable[[Any], Any] = adapter(hint).validate_python
        return validate
    parse: Callable[[Any], Any] | None = getattr(hint, "parse_obj", None)
    return parse


def convert_with_pydantic(hint: Any, value: Any, path: Path) -> tuple[Any, list[Fault]]:
    """Return the value as Pydantic converts it, and the errors that Pydantic reports."""
    validate = pydantic_validator(hint)
    if validate is None:
        return value, []
    try:
        return validate(value), []
    except ValueError as error:
        errors: list[Any] = getattr(error, "errors", list)() or [{"loc": (), "msg": error}]
        faults = [Fault((*path, *each["loc"]), f"expected {spell(hint)}: {each['msg']}") for each in errors]
        return value, faults
