"""Hints that only Pydantic understands, by the Pydantic that the flow itself has loaded. `value_conversion` asks."""

import sys
import typing
from collections.abc import Callable
from typing import Any

from controller.sdk.messages import spell
from controller.sdk.value_errors import Path, RefusedError


def is_of_pydantic(hint: Any) -> bool:
    """A model, or an annotation that only Pydantic understands, where it is installed."""
    if "pydantic" not in sys.modules:
        return False
    if typing.get_origin(hint) is typing.Annotated:
        return any(
            type(said).__module__.partition(".")[0] in ("pydantic", "annotated_types") for said in hint.__metadata__
        )
    return hasattr(hint, "__pydantic_validator__") or hasattr(hint, "parse_obj")


def pydantic_of(hint: Any) -> Callable[[Any], Any] | None:
    """What validates for this hint; None where the installed version can't."""
    adapter = getattr(sys.modules["pydantic"], "TypeAdapter", None)
    if adapter is not None:
        validate: Callable[[Any], Any] = adapter(hint).validate_python
        return validate
    parse: Callable[[Any], Any] | None = getattr(hint, "parse_obj", None)
    return parse


def through_pydantic(hint: Any, value: Any, path: Path) -> Any:
    """The value as Pydantic makes it. Raises RefusedError with the first thing that it says."""
    validate = pydantic_of(hint)
    if validate is None:
        return value
    try:
        return validate(value)
    except ValueError as error:
        errors: list[Any] = getattr(error, "errors", list)()
        if not errors:
            raise RefusedError(path, f"expected {spell(hint)}: {error}") from None
        raise RefusedError((*path, *errors[0]["loc"]), f"expected {spell(hint)}: {errors[0]['msg']}") from None
