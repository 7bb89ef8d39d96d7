"""Resolves type hints: from the syntax of a hint to a type that the SDK's converter supports. Called by `signature`.

The type is a real one, such as `list[int]`; a class of the file becomes a class with the same fields or members. A hint
with names that are shadowed, rebound or not supported is `Unknown`. Depth and size are limited.
"""

import ast
import types
import typing
from collections.abc import Callable
from typing import Any

from controller.flow_analysis.bindings import Assigned, Class, Namespace
from controller.flow_analysis.classes import class_hint
from controller.flow_analysis.constants import constant
from controller.flow_analysis.known_types import HARMLESS, TYPES, WRAPPERS, Unknown
from controller.flow_analysis.syntax_tree import read_expression
from controller.sdk.value_conversion import ITEMS, MAPPINGS

MAX_DEPTH = 16
MAX_NODES = 500
"""The size of all hints of one signature, including the classes and aliases that they refer to."""
MAX_CHOICES = 1000
_NEW_TYPE = "typing.NewType"


class Resolver:
    """Resolves the hints of one signature, which share the limits."""

    def __init__(self, names: Namespace) -> None:
        self.names = names
        self._remaining_nodes = MAX_NODES
        self._depth = 0
        self._resolving: list[str] = []

    def hint(self, expression: ast.expr) -> Any:
        """Resolve one type hint; `Unknown` beyond the limits."""
        self._remaining_nodes -= 1
        if self._remaining_nodes < 0 or self._depth >= MAX_DEPTH:
            return Unknown()
        self._depth += 1
        try:
            return self._resolve(expression)
        finally:
            self._depth -= 1

    def _resolve(self, expression: ast.expr) -> Any:
        match expression:
            case ast.Constant(value=None):
                return type(None)
            case ast.Constant(value=str() as text):
                inner = read_expression(text)
                return self.hint(inner) if inner is not None else Unknown()
            case ast.Name(id=name) if (
                self.names.stable_binding(name) is not None and self.names.path_of(expression) is None
            ):
                return self._local(name)
            case ast.Name() | ast.Attribute():
                return self._plain(self.names.path_of(expression))
            case ast.Subscript(value=base, slice=inside):
                arguments = inside.elts if isinstance(inside, ast.Tuple) else [inside]
                return self._generic(self.names.path_of(base), arguments)
            case ast.BinOp(op=ast.BitOr()):
                return self._union(_operands(expression))
            case (
                ast.Call(func=func, args=[_, supertype], keywords=[])
                | ast.Call(func=func, args=[_], keywords=[ast.keyword(arg="tp", value=supertype)])
            ):
                return self.hint(supertype) if self.names.path_of(func) == _NEW_TYPE else Unknown()
        return Unknown()

    def _local(self, name: str) -> Any:
        """Resolve a class or an alias of the file; `Unknown` inside its own definition."""
        binding = self.names.stable_binding(name)
        if name in self._resolving:
            return Unknown(name)
        self._resolving.append(name)
        try:
            if isinstance(binding, Class):
                return class_hint(binding, self)
            return self.hint(binding.value) if isinstance(binding, Assigned) else Unknown(name)
        finally:
            self._resolving.pop()

    def _plain(self, path: str | None) -> Any:
        return TYPES[path] if path in TYPES else Unknown((path or "…").removeprefix("builtins."))

    def _generic(self, path: str | None, arguments: list[ast.expr]) -> Any:
        kind: Any = TYPES.get(path)
        if kind is tuple:
            return self._tuple(arguments)
        if (kind in ITEMS and len(arguments) == 1) or (kind in MAPPINGS and len(arguments) == 2):
            return types.GenericAlias(kind, self._hints(arguments))
        if path in WRAPPERS and len(arguments) == 1:
            return self.hint(arguments[0])
        special = _SPECIAL.get(path or "")
        return special(self, arguments) if special and arguments else Unknown()

    def _hints(self, expressions: list[ast.expr]) -> tuple[Any, ...]:
        return tuple(self.hint(expression) for expression in expressions)

    def _tuple(self, arguments: list[ast.expr]) -> Any:
        match arguments:
            case [item, ast.Constant(value=value)] if value is Ellipsis:
                return types.GenericAlias(tuple, (self.hint(item), ...))
            case [ast.Tuple(elts=[])]:
                return types.GenericAlias(tuple, ())
        if any(isinstance(argument, ast.Starred) for argument in arguments):
            return Unknown()
        return types.GenericAlias(tuple, self._hints(arguments))

    def _union(self, arguments: list[ast.expr]) -> Any:
        return typing.Union[*self._hints(arguments)]

    def _optional(self, arguments: list[ast.expr]) -> Any:
        return typing.Union[*self._hints(arguments), None]

    def _literal(self, arguments: list[ast.expr]) -> Any:
        constants = [constant(argument) for argument in arguments]
        if len(arguments) > MAX_CHOICES or not all(is_known for is_known, _ in constants):
            return Unknown("Literal")
        return typing.Literal[tuple(value for _, value in constants)]

    def _resolve_annotated(self, arguments: list[ast.expr]) -> Any:
        return self.hint(arguments[0]) if all(_is_harmless(extra) for extra in arguments[1:]) else Unknown()


_SPECIAL: dict[str, Callable[[Resolver, list[ast.expr]], Any]] = {
    "typing.Union": Resolver._union,
    "typing.Optional": Resolver._optional,
    "typing.Literal": Resolver._literal,
    "typing.Annotated": Resolver._resolve_annotated,
}


def _operands(expression: ast.expr) -> list[ast.expr]:
    """Return the operands `a`, `b` and `c` of `a | b | c`."""
    operands: list[ast.expr] = []
    while isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitOr):
        operands.append(expression.right)
        expression = expression.left
    return [expression, *reversed(operands)]


def _is_harmless(extra: ast.expr) -> bool:
    match extra:
        case ast.Constant():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in HARMLESS
    return False
