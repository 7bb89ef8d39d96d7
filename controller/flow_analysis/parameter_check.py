"""Can this flow be called with these parameters? `manifests` asks, for every deployment and every schedule.

It must not know manifests: the caller places the problems by their `path`.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from controller.flow_analysis.flow_problems import ParameterCode, ParameterProblem
from controller.flow_analysis.messages import advice, did_you_mean, hint_of, listed, message_of, shorten
from controller.flow_analysis.signature import Flow
from controller.flow_analysis.type_check import check_type
from controller.flow_analysis.type_hints import Kind, Parameter, spell

MAX_PROBLEMS = 100
_MAX_GUESSES = 20


def check(flow: Flow, parameters: Mapping[str, Any], *, partial: bool = False) -> list[ParameterProblem]:
    """What keeps `flow` from being called with `parameters`, the first hundred problems; never raises.

    With `partial` some parameters are still to come, as with a deployment that is only ever triggered: then none is
    missing. The values are JSON; about anything else, and about a flow with an unknown signature, nothing is said.
    """
    if flow.parameters is None:
        return []
    return list(islice(_Call(flow, flow.parameters).problems(parameters, partial), MAX_PROBLEMS))


class _Call:
    """The parameters of one flow, by what they mean for a call."""

    def __init__(self, flow: Flow, parameters: tuple[Parameter, ...]) -> None:
        self._name = flow.name
        self._rest = next((one for one in parameters if one.kind is Kind.REST), None)
        self._known = {one.name: one for one in parameters if one.kind is Kind.ORDINARY}
        self._unnamed = {one.name: one for one in parameters if one.kind is Kind.POSITIONAL_ONLY}

    def problems(self, given: Mapping[str, Any], partial: bool) -> Iterator[ParameterProblem]:
        known = self._known.keys() | self._unnamed.keys()
        unknown = [] if self._rest else [str(name) for name in given if name not in known]
        misspelt = {did_you_mean(name, list(self._known)) for name in unknown[:_MAX_GUESSES]}
        yield from map(self._unknown, unknown)
        yield from self._positional_only(given)
        for parameter in self._known.values():
            if parameter.required and not partial and parameter.name not in given.keys() | misspelt:
                yield self._missing(parameter)
        for name, value in given.items():
            target = self._known.get(name) or self._rest
            if target is not None:
                yield from _value_problems(target, str(name), value)

    def _unknown(self, name: str) -> ParameterProblem:
        return ParameterProblem(
            code=ParameterCode.UNKNOWN,
            message=f"{shorten(self._name) or 'the flow'} has no parameter {shorten(name)}",
            path=(name,),
            hint=advice(name, self._name or "the flow", list(self._known)),
        )

    def _missing(self, parameter: Parameter) -> ParameterProblem:
        expected = shorten(spell(parameter.hint), 80)
        of = "" if expected == "…" else f" ({expected})"
        return ParameterProblem(
            code=ParameterCode.MISSING,
            message=f"the parameter {shorten(parameter.name)}{of} is missing",
            hint=f"{shorten(self._name)} takes {listed(list(self._known))}",
            missing=parameter.name,
        )

    def _positional_only(self, given: Mapping[str, Any]) -> Iterator[ParameterProblem]:
        """Parameters before `/`: a controller gives all by name, so these keep their default or can't be had."""
        for parameter in self._unnamed.values():
            is_given = parameter.name in given and self._rest is None
            if is_given or parameter.required:
                yield ParameterProblem(
                    code=ParameterCode.POSITIONAL_ONLY,
                    message=f"{shorten(parameter.name)} can't be given by name, it is positional-only",
                    path=(parameter.name,) if parameter.name in given else (),
                    hint=f"remove the / after it from the parameters of {shorten(self._name)}",
                )


def _value_problems(parameter: Parameter, name: str, value: Any) -> Iterator[ParameterProblem]:
    if value is None and parameter.nullable:
        return
    for fault in check_type(parameter.hint, value, (name,)).faults:
        yield ParameterProblem(
            code=ParameterCode.WRONG_TYPE,
            message=message_of(fault),
            path=fault.path,
            hint=hint_of(fault, default=not parameter.required and fault.path == (name,)),
        )
