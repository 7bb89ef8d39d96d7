"""A fault: one part of a value that does not match its type hint.

`value_conversion` and `pydantic_types` collect them; `argument_coercion` and `controller.flow_analysis` report them.
"""

from typing import Any, NamedTuple

Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """One part of a value that does not match its type hint. `path` leads to it and begins with the parameter's name.

    `hint` is the expected type if the value has another one, and the dataclass if the value has an unknown `field`.
    Otherwise it is None.
    """

    path: Path
    message: str
    hint: Any = None
    value: Any = None
    field: str = ""
