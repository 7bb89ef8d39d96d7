"""How a value is refused for a hint: in words, with the place in it. `converting` raises it, `coercion` gathers it."""

from typing import Any, NoReturn

from controller.flows.wording import shown, spell

Path = tuple[str | int, ...]


class RefusedError(Exception):
    """A value does not fit; `path` begins with the name of the parameter."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path


def refuse(hint: Any, value: Any, path: Path) -> NoReturn:
    """Raise it in the usual words."""
    raise RefusedError(path, f"expected {spell(hint)}, got {shown(value)}")
