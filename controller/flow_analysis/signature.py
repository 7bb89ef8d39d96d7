"""The signature of a flow: its parameters with their type hints, from the syntax of its function.

Called by `module`; `parameter_check` reads it.
"""

import ast
from collections.abc import Iterator
from enum import Enum
from typing import Any

from controller.flow_analysis.bindings import Function, Namespace
from controller.flow_analysis.callables import Entry
from controller.flow_analysis.constants import may_be_null, source_of
from controller.flow_analysis.hint_resolution import Resolver
from controller.flow_analysis.known_types import Unknown
from controller.records import dataclass


class Kind(Enum):
    """The kind of a Python parameter. The controller passes all parameters by name."""

    ORDINARY = "ordinary"
    POSITIONAL_ONLY = "positional only"
    REST = "all other names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a flow.

    `hint` is a type for the SDK's converter, or `Unknown`. `nullable`: null is accepted whatever the hint is. `default`
    is the source of the default value, for display; None if there is no default, or a long one.
    """

    name: str
    hint: Any
    required: bool
    nullable: bool = False
    kind: Kind = Kind.ORDINARY
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow of a file: the name of its function or variable, and the line of its definition, from 1."""

    name: str
    line: int
    parameters: tuple[Parameter, ...] | None = None
    """The parameters, or None if the signature is unknown; then the parameters are not checked."""


def flow_of(entry: Entry, names: Namespace) -> Flow:
    """Return the flow of an entry, with its type hints resolved."""
    parameters = None
    if entry.function is not None:
        parameters = tuple(_parameters(entry.function, _Hints(names, entry.validates)))
    return Flow(name=entry.name, line=entry.line, parameters=parameters)


class _Hints:
    """The hints of one signature; all are unknown if the flow has `validate_parameters=False`."""

    def __init__(self, names: Namespace, validates: bool) -> None:
        self._resolver = Resolver(names) if validates else None

    def resolve(self, argument: ast.arg) -> Any:
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
        yield Parameter(name=arguments.kwarg.arg, hint=hints.resolve(arguments.kwarg), required=False, kind=Kind.REST)


def _parameter(argument: ast.arg, default: ast.expr | None, kind: Kind, hints: _Hints) -> Parameter:
    return Parameter(
        name=argument.arg,
        hint=hints.resolve(argument),
        required=default is None,
        nullable=may_be_null(default),
        kind=kind,
        default=source_of(default),
    )
