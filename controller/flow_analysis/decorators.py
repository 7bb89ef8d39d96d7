"""The effects of known decorators on a function. Called by `callables`; `module` reads the roles.

Any decorator that is not listed here may change the signature.
"""

import ast
from enum import Enum

from controller.flow_analysis.bindings import Namespace
from controller.flow_analysis.constants import is_constant
from controller.records import dataclass

_TRUE = ast.Constant(value=True)
_HOMES = ("controller", "prefect")
_KEEPING = frozenset(
    (
        *("functools.cache", "functools.lru_cache", "typing.final", "typing.override", "typing.deprecated"),
        *("warnings.deprecated", "atexit.register", "builtins.staticmethod"),
    )
)


class Role(Enum):
    """The result of a decorator: a flow, a task, the same function, or an unknown object."""

    FLOW = "flow"
    TASK = "task"
    SAME = "same"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoration:
    """The effect of one decorator."""

    role: Role
    keeps: bool
    """Whether the signature stays the same."""
    title: str | None = None
    """The name that it gives the flow, with `name=`."""
    hidden: bool = False
    """Whether it gives the flow a name that can't be read from the file."""
    validates: bool = True
    """Whether the parameters are checked against the type hints when the flow is called."""


def read_decoration(expression: ast.expr, names: Namespace) -> Decoration:
    """Return the effect of `@expression`, or of `expression(function)`."""
    call = expression if isinstance(expression, ast.Call) else None
    path = names.path_of(call.func if call else expression)
    root, _, last = (path or "").rpartition(".")
    ours = root.partition(".")[0] in _HOMES
    if last in ("flow", "task") and path != f"builtins.{last}":
        role = Role.FLOW if last == "flow" else Role.TASK
        keeps = ours
    else:
        role = Role.SAME if path in _KEEPING else Role.OTHER
        keeps = path in _KEEPING
    options = {keyword.arg: keyword.value for keyword in call.keywords} if call else {}
    title, hidden = _title(options)
    return Decoration(
        role=role,
        keeps=keeps and not (call and call.args and role is not Role.SAME),
        title=title,
        hidden=hidden and role is Role.FLOW,
        validates=None not in options and is_constant(options.get("validate_parameters", _TRUE), True),
    )


def _title(options: dict[str | None, ast.expr]) -> tuple[str | None, bool]:
    match options.get("name"):
        case None:
            return None, None in options  # `**options` may hold a name
        case ast.Constant(value=str() as title):
            return title, False
        case ast.Constant(value=None):
            return None, False
    return None, True
