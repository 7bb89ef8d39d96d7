"""What can be wrong with a flow or its parameters. The caller adds where in the manifest the problem is.

These values know neither the manifest nor its deployment, and not how they are shown.
"""

from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]


class FlowCode(StrEnum):
    """Why no flow was found. Stable: people filter by it."""

    NOT_FOUND = "FlowNotFound"
    AMBIGUOUS = "AmbiguousFlow"
    FILE_INVALID = "FlowFileInvalid"


class ParameterCode(StrEnum):
    """Why the flow can't be called like this. Stable: people filter by it."""

    UNKNOWN = "UnknownParameter"
    MISSING = "MissingParameter"
    WRONG_TYPE = "WrongParameterType"
    POSITIONAL_ONLY = "PositionalOnlyParameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """No flow, or no single one. `line` counts from 1 and is one of the Python file, not of the manifest."""

    code: FlowCode
    message: str
    line: int = 1
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterProblem:
    """One fault of the given parameters; `path` is the JSON path inside them, `()` where `missing` is missing."""

    code: ParameterCode
    message: str
    path: Path = ()
    hint: str | None = None
    missing: str = ""
