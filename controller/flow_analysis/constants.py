"""Constant values that can be read from the syntax. Called by `hint_resolution`, `classes` and `signature`."""

import ast
from itertools import islice
from typing import Any

_MAX_BITS = 64
"""The size of the largest whole number; no manifest can contain a larger one."""

_MAX_NODES = 50
_SHOWN = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Call, ast.keyword),
    *(ast.UnaryOp, ast.BinOp, ast.unaryop, ast.operator, ast.expr_context),
)
"""The syntax of the defaults that are shown."""
_MAX_LENGTH = 80


def constant(expression: ast.expr) -> tuple[bool, Any]:
    """Return whether the expression is a constant string, number, boolean or None, and its value."""
    match expression:
        case ast.Constant(value=int() as value) if value.bit_length() > _MAX_BITS:
            return False, None
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return True, value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return constant(ast.Constant(value=-value))
    return False, None


def may_be_null(default: ast.expr | None) -> bool:
    """Return whether a default is, or may be, None: then null is accepted for the parameter whatever its hint is."""
    if default is None:
        return False
    is_known, value = constant(default)
    return not is_known or value is None


def source_of(default: ast.expr | None) -> str | None:
    """Return the source of a default value on one line, or None if it is longer than 80 characters.

    Calls such as `date(2026, 1, 1)` are included; lambdas, comprehensions and other code are not.
    """
    if default is None:
        return None
    nodes = list(islice(ast.walk(default), _MAX_NODES + 1))
    if not all(isinstance(node, _SHOWN) for node in nodes):
        return None
    numbers = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, int)]
    if len(nodes) > _MAX_NODES or any(number.bit_length() > _MAX_BITS for number in numbers):
        return None
    text = ast.unparse(default)
    return text if 0 < len(text) <= _MAX_LENGTH and text.isprintable() else None


def is_constant(expression: ast.expr | None, value: object) -> bool:
    """Return whether the expression is this very constant, such as `True`."""
    return isinstance(expression, ast.Constant) and expression.value is value
