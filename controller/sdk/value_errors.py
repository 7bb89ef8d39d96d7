"""Errors for values that do not fit a type hint, with the place inside the value."""

from typing import Any, NoReturn

from controller.sdk.messages import shown, spell

Path = tuple[str | int, ...]


class RefusedError(Exception):
    """A value does not fit; `path` begins with the name of the parameter."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


def refuse(hint: Any, value: Any, path: Path) -> NoReturn:
    """Raise it in the usual words."""
    raise RefusedError(path, f"expected {spell(hint)}, got {shown(value)}")
