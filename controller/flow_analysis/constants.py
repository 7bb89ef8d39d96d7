"""Values that can be read from syntax without running it. `hint_resolution`, `classes` and `signature` call it."""

import ast
from itertools import islice
from typing import Any

_MAX_BITS = 64
"""Python refuses to write much larger numbers out, and no manifest can hold them."""

_MAX_NODES = 50
_MAX_SPELLED = 80


def constant(expression: ast.expr) -> tuple[bool, Any]:
    """Whether the value can be read, and the value, of a text, number, boolean or None."""
    match expression:
        case ast.Constant(value=int() as value) if value.bit_length() > _MAX_BITS:
            return False, None
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return True, value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return constant(ast.Constant(value=-value))
    return False, None


def may_be_null(default: ast.expr | None) -> bool:
    """Whether a default is, or may be, None: then None may be given too."""
    if default is None:
        return False
    known, value = constant(default)
    return not known or value is None


def spelled(default: ast.expr | None) -> str | None:
    """A default as Python spells it, on one short line; None where there is none, or it is none of that."""
    if not isinstance(default, ast.Constant | ast.Name | ast.Attribute | ast.UnaryOp | ast.List | ast.Tuple | ast.Dict):
        return None
    nodes = list(islice(ast.walk(default), _MAX_NODES + 1))
    numbers = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, int)]
    if len(nodes) > _MAX_NODES or any(number.bit_length() > _MAX_BITS for number in numbers):
        return None
    text = ast.unparse(default)
    return text if 0 < len(text) <= _MAX_SPELLED and text.isprintable() else None


def is_constant(expression: ast.expr | None, value: object) -> bool:
    """Whether an expression is literally this value."""
    return isinstance(expression, ast.Constant) and expression.value is value
