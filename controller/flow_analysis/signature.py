"""What a flow takes: its parameters with their hints, from the syntax of its function. `module` calls it.

It must not judge values: `parameter_check` does.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from controller.flow_analysis.bindings import Function, Namespace
from controller.flow_analysis.callables import Entry
from controller.flow_analysis.constants import may_be_null, spelled
from controller.flow_analysis.hint_resolution import Resolver
from controller.flow_analysis.type_hints import Hint, Kind, Parameter, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow of a file: the name that was asked for or found, and the line of its definition, from 1.

    `parameters` is None where the signature can't be known; then nothing is said about parameters.
    """

    name: str
    line: int
    parameters: tuple[Parameter, ...] | None = None


def flow_of(entry: Entry, names: Namespace) -> Flow:
    """The flow with its hints resolved."""
    found = None
    if entry.function is not None:
        found = tuple(_parameters(entry.function, _Hints(names, entry.validates)))
    return Flow(name=entry.name, line=entry.line, parameters=found)


class _Hints:
    """The hints of one signature; all unknown where the flow says that they are not checked."""

    def __init__(self, names: Namespace, validates: bool) -> None:
        self._resolver = Resolver(names) if validates else None

    def of(self, argument: ast.arg) -> Hint:
        if self._resolver is None or argument.annotation is None:
            return Unknown()
        return self._resolver.hint(argument.annotation)


def _parameters(function: Function, hints: _Hints) -> Iterator[Parameter]:
    arguments = function.arguments
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    for index, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        kind = Kind.POSITIONAL_ONLY if index < len(arguments.posonlyargs) else Kind.ORDINARY
        yield _parameter(argument, default, kind, hints)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default, Kind.ORDINARY, hints)
    if arguments.kwarg is not None:
        yield Parameter(name=arguments.kwarg.arg, hint=hints.of(arguments.kwarg), required=False, kind=Kind.REST)


def _parameter(argument: ast.arg, default: ast.expr | None, kind: Kind, hints: _Hints) -> Parameter:
    return Parameter(
        name=argument.arg,
        hint=hints.of(argument),
        required=default is None,
        nullable=may_be_null(default),
        kind=kind,
        default=spelled(default),
    )
