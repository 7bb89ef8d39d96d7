"""The error for a value that does not match its type hint, with the path inside the value.

Called by `value_conversion`, `pydantic_types` and `argument_coercion`.
"""

from typing import Any, NoReturn

from controller.sdk.messages import describe, spell

Path = tuple[str | int, ...]


class RefusedError(Exception):
    """A value does not match its type hint. `path` begins with the name of the parameter."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


def refuse(hint: Any, value: Any, path: Path) -> NoReturn:
    """Raise RefusedError with the expected type and a description of the value."""
    raise RefusedError(path, f"expected {spell(hint)}, got {describe(value)}")
