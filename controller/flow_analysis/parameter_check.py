"""Checks whether a flow can be called with the given parameters.

`manifests` calls it for every deployment and every schedule, and finds the position of a problem by its `path`.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from controller.flow_analysis.flow_problems import ParameterCode, ParameterProblem
from controller.flow_analysis.messages import advice_for, closest_name, join_names, suggest_name
from controller.flow_analysis.signature import Flow, Kind, Parameter
from controller.flow_analysis.type_check import accepts_simply, check_type
from controller.sdk.messages import label, shorten, spell

MAX_PROBLEMS = 100
_MAX_GUESSES = 20
_MAX_CALLS = 64
_MAX_ACCEPTED, _MAX_LENGTH = 200, 200
"""Limits for the values of one flow that are remembered, and for their length."""


def check(flow: Flow, parameters: Mapping[str, Any], *, partial: bool = False) -> list[ParameterProblem]:
    """Return the problems, at most 100, with calling `flow` with these parameters. Never raises.

    The values are JSON; any other values, and flows with an unknown signature, are not checked. With `partial`, a
    required parameter may be missing: it is given later, as for a deployment that is only triggered.
    """
    if flow.parameters is None:
        return []
    call = _CALLS.get(id(flow))
    if call is None:
        if len(_CALLS) >= _MAX_CALLS:
            _CALLS.clear()
        call = _CALLS[id(flow)] = _Call(flow, flow.parameters)
    return [] if call.accepts(parameters) else list(islice(call.problems(parameters, partial), MAX_PROBLEMS))


class _Call:
    """The parameters of one flow, by kind.

    It remembers lists and mappings that the flow accepts, because many deployments of a flow pass the same.
    """

    def __init__(self, flow: Flow, parameters: tuple[Parameter, ...]) -> None:
        self._flow = flow  # keeps its id from being given to another flow
        self._accepted: set[tuple[str, str]] = set()
        self._name = flow.name
        self._rest = next((parameter for parameter in parameters if parameter.kind is Kind.REST), None)
        self._ordinary = {parameter.name: parameter for parameter in parameters if parameter.kind is Kind.ORDINARY}
        self._positional = {
            parameter.name: parameter for parameter in parameters if parameter.kind is Kind.POSITIONAL_ONLY
        }
        self._required = {name for name, parameter in self._ordinary.items() if parameter.required}
        self._names = self._ordinary.keys() | self._positional.keys()

    def accepts(self, values: Mapping[str, Any]) -> bool:
        """Return True only if there is certainly no problem: quickly, for the values that most calls have."""
        if self._positional or not self._required <= values.keys():
            return False
        for name, value in values.items():
            parameter = self._ordinary.get(name)
            if parameter is None or not (accepts_simply(parameter.hint, value) or self._is_known(parameter, value)):
                return False
        return True

    def _is_known(self, parameter: Parameter, value: Any) -> bool:
        """Return whether the value is an accepted null, or a list or mapping that was accepted before."""
        if value.__class__ is not list and value.__class__ is not dict:
            return value is None and parameter.nullable
        try:
            return (parameter.name, repr(value)) in self._accepted
        except (ValueError, RecursionError):
            return False

    def problems(self, values: Mapping[str, Any], partial: bool) -> Iterator[ParameterProblem]:
        unknown = [] if self._rest else [str(name) for name in values if name not in self._names]
        misspelt = {closest_name(name, list(self._ordinary)) for name in unknown[:_MAX_GUESSES]}
        yield from map(self._unknown_parameter, unknown)
        yield from self._positional_only(values)
        for parameter in self._ordinary.values():
            if parameter.required and not partial and parameter.name not in values and parameter.name not in misspelt:
                yield self._missing(parameter)
        for name, value in values.items():
            target = self._ordinary.get(name) or self._rest
            if target is not None:
                yield from self._value_problems(target, str(name), value)

    def _value_problems(self, parameter: Parameter, name: str, value: Any) -> list[ParameterProblem]:
        if value.__class__ is not list and value.__class__ is not dict:
            return list(_value_problems(parameter, name, value))
        try:
            text = repr(value)
        except (ValueError, RecursionError):  # for example, an integer with too many digits
            return list(_value_problems(parameter, name, value))
        if (name, text) in self._accepted:
            return []
        problems = list(_value_problems(parameter, name, value))
        if not problems and len(text) <= _MAX_LENGTH and len(self._accepted) < _MAX_ACCEPTED:
            self._accepted.add((name, text))
        return problems

    def _unknown_parameter(self, name: str) -> ParameterProblem:
        shown = shorten(name) or "''"
        return ParameterProblem(
            code=ParameterCode.UNKNOWN,
            message=f"{shorten(self._name) or 'the flow'} has no parameter {shown}",
            path=(name,),
            hint=suggest_name(name, self._name or "the flow", list(self._ordinary)),
        )

    def _missing(self, parameter: Parameter) -> ParameterProblem:
        expected = spell(parameter.hint)
        type_text = "" if expected == "…" else f" ({expected})"
        return ParameterProblem(
            code=ParameterCode.MISSING,
            message=f"the parameter {shorten(parameter.name)}{type_text} is missing",
            hint=f"{shorten(self._name)} takes {join_names(list(self._ordinary))}",
            missing=parameter.name,
        )

    def _positional_only(self, values: Mapping[str, Any]) -> Iterator[ParameterProblem]:
        """Yield the problems with parameters before `/`: the controller passes all parameters by name."""
        for parameter in self._positional.values():
            is_passed = parameter.name in values and self._rest is None
            if is_passed or parameter.required:
                yield ParameterProblem(
                    code=ParameterCode.POSITIONAL_ONLY,
                    message=f"{shorten(parameter.name)} is positional-only, but parameters are passed by name",
                    path=(parameter.name,) if parameter.name in values else (),
                    hint=f"remove the / after it from the parameters of {shorten(self._name)}",
                )


def _value_problems(parameter: Parameter, name: str, value: Any) -> Iterator[ParameterProblem]:
    if value is None and parameter.nullable:
        return
    for fault in check_type(parameter.hint, value, (name,)):
        yield ParameterProblem(
            code=ParameterCode.WRONG_TYPE,
            message=f"{label(fault.path)}: {fault.message}",
            path=fault.path,
            hint=advice_for(fault, has_default=not parameter.required and fault.path == (name,)),
            expected=None if fault.field else fault.hint,
        )


_CALLS: dict[int, _Call] = {}
"""The flows checked last, by their id."""
