"""The problems that the analysis reports about a flow or its parameters.

Returned by `module` and `parameter_check`. The caller adds the position in the manifest.
"""

from dataclasses import field
from enum import StrEnum
from typing import Any

from controller.records import dataclass

Path = tuple[str | int, ...]


class FlowCode(StrEnum):
    """The reason why no flow was found. The codes are stable, because users filter by them."""

    NOT_FOUND = "FlowNotFound"
    AMBIGUOUS = "AmbiguousFlow"
    FILE_INVALID = "FlowFileInvalid"


class ParameterCode(StrEnum):
    """The reason why the flow can't be called with these parameters. Stable, because users filter by the codes."""

    UNKNOWN = "UnknownParameter"
    MISSING = "MissingParameter"
    WRONG_TYPE = "WrongParameterType"
    POSITIONAL_ONLY = "PositionalOnlyParameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """No flow was found, or more than one. `line` is the line in the Python file, from 1."""

    code: FlowCode
    message: str
    line: int = 1
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterProblem:
    """One problem with the parameters.

    `path` is the JSON path inside the parameters; it is empty for a missing parameter, whose name is in `missing`.
    `expected` is the type for a value of another type, else None. `is_certain`: every call has the problem.
    """

    code: ParameterCode
    message: str
    path: Path = ()
    hint: str | None = None
    missing: str = ""
    expected: Any = field(default=None, compare=False)
    is_certain: bool = True
