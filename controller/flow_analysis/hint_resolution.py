"""Resolves type hints: from the syntax of a hint to a value of `type_hints`. Called by `signature`.

A hint with names that are shadowed, rebound or not supported is `Unknown`. Depth and size are limited.
"""

import ast
from collections.abc import Callable

from controller.flow_analysis.bindings import Assigned, Class, Namespace
from controller.flow_analysis.classes import class_hint
from controller.flow_analysis.constants import constant
from controller.flow_analysis.known_types import HARMLESS, ITEMS, MAPPINGS, PLAIN, TUPLES, WRAPPERS
from controller.flow_analysis.syntax_tree import read_expression
from controller.flow_analysis.type_hints import AnyOf, Anything, Choice, Hint, Items, Null, Row, Table, Unknown

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

    def hint(self, expression: ast.expr) -> Hint:
        """Resolve one type hint; `Unknown` beyond the limits."""
        self._remaining_nodes -= 1
        if self._remaining_nodes < 0 or self._depth >= MAX_DEPTH:
            return Unknown()
        self._depth += 1
        try:
            return self._resolve(expression)
        finally:
            self._depth -= 1

    def _resolve(self, expression: ast.expr) -> Hint:
        match expression:
            case ast.Constant(value=None):
                return Null()
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

    def _local(self, name: str) -> Hint:
        """Resolve a class or an alias of the file; `Unknown` inside its own definition."""
        binding = self.names.stable_binding(name)
        if name in self._resolving:
            return Unknown(text=name)
        self._resolving.append(name)
        try:
            if isinstance(binding, Class):
                return class_hint(binding, self)
            return self.hint(binding.value) if isinstance(binding, Assigned) else Unknown(text=name)
        finally:
            self._resolving.pop()

    def _plain(self, path: str | None) -> Hint:
        if path in ITEMS:
            return Items(name=ITEMS[path], item=Anything())
        if path in MAPPINGS:
            return Table(name=MAPPINGS[path], key=Anything(), value=Anything())
        if path in TUPLES:
            return Items(name="tuple", item=Anything())
        return PLAIN.get(path or "") or Unknown(text=(path or "…").removeprefix("builtins."))

    def _generic(self, path: str | None, arguments: list[ast.expr]) -> Hint:
        if path in ITEMS and len(arguments) == 1:
            return Items(name=ITEMS[path], item=self.hint(arguments[0]))
        if path in MAPPINGS and len(arguments) == 2:
            return Table(name=MAPPINGS[path], key=self.hint(arguments[0]), value=self.hint(arguments[1]))
        if path in TUPLES:
            return self._tuple(arguments)
        if path in WRAPPERS and len(arguments) == 1:
            return self.hint(arguments[0])
        special = _SPECIAL.get(path or "")
        return special(self, arguments) if special else Unknown()

    def _tuple(self, arguments: list[ast.expr]) -> Hint:
        match arguments:
            case [item, ast.Constant(value=value)] if value is Ellipsis:
                return Items(name="tuple", item=self.hint(item))
            case [ast.Tuple(elts=[])]:
                return Row(items=())
        if any(isinstance(argument, ast.Starred) for argument in arguments):
            return Unknown()
        return Row(items=tuple(self.hint(argument) for argument in arguments))

    def _union(self, arguments: list[ast.expr]) -> Hint:
        return AnyOf(branches=tuple(self.hint(argument) for argument in arguments))

    def _optional(self, arguments: list[ast.expr]) -> Hint:
        return AnyOf(branches=(*(self.hint(argument) for argument in arguments), Null()))

    def _literal(self, arguments: list[ast.expr]) -> Hint:
        if len(arguments) > MAX_CHOICES:
            return Unknown(text="Literal")
        constants = [constant(argument) for argument in arguments]
        values = tuple(value for is_known, value in constants if is_known)
        return Choice(values=values, complete=len(values) == len(constants))

    def _annotated(self, arguments: list[ast.expr]) -> Hint:
        return self.hint(arguments[0]) if all(_is_harmless(extra) for extra in arguments[1:]) else Unknown()


_SPECIAL: dict[str, Callable[[Resolver, list[ast.expr]], Hint]] = {
    "typing.Union": Resolver._union,
    "typing.Optional": Resolver._optional,
    "typing.Literal": Resolver._literal,
    "typing.Annotated": Resolver._annotated,
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
