"""Checks parameters with references against the signature of a flow.

`flow_references` and `queries.parameter_form` call it. `flow_analysis` checks all other values. The problems describe
what a reference gives, which depends on the run, and never quote a value that was computed for the check. The result
of an upstream run and an environment variable are not known before the run, so references to them have no problems.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from controller import flow_analysis
from controller.flow_analysis import ParameterCode, ParameterProblem
from controller.flow_analysis.known_types import branches_of, choices_of
from controller.flow_analysis.type_check import check_type
from controller.manifests.parameter_references import (
    FORMATS,
    find_references,
    may_refer,
    replace_references,
    resolve_sample,
    sample_values,
)
from controller.manifests.reference_spelling import NearMiss, as_yaml, find_near_misses
from controller.manifests.run_references import describe_value, is_run_reference, variable_of
from controller.manifests.upstream_references import find_upstream_references
from controller.manifests.yaml.nodes import Path
from controller.schedules.messages import quote
from controller.sdk.messages import label, spell

_PROBE = "\N{REPLACEMENT CHARACTER}"
"""Only types that accept any text accept it."""
_GIVES = {
    "datetime": "a date-time",
    "date": "a date",
    "time": "a time of day",
    "timestamp": "Unix seconds",
}
_LAYOUTS = {"datetime": "%Y-%m-%dT%H:%M:%S%z", "date": "%Y-%m-%d", "time": "%H:%M:%S"}
_MAX_SHOWN = 5


def check_parameters(flow: flow_analysis.Flow, parameters: Mapping[str, Any]) -> list[ParameterProblem]:
    """Return the problems with calling `flow` with these parameters, as `flow_analysis.check` does.

    A problem that only some due times have is not `is_certain`.
    """
    if not may_refer(parameters):
        return flow_analysis.check(flow, parameters)
    every = find_references(parameters)
    problems = flow_analysis.check(flow, resolve_sample(parameters) if every else parameters)
    references = {path: reference for path, reference in every.items() if variable_of(reference) is None}
    if unknown := {*find_upstream_references(parameters), *(every.keys() - references.keys())}:
        problems = [problem for problem in problems if not _concerns(problem, unknown)]
    if references:
        problems = [problem for problem in problems if not _is_of(problem, references)]
        for problem in flow_analysis.check(flow, replace_references(parameters, _probe)):
            if _is_of(problem, references):
                problems += _type_problems(problem, references[problem.path])
    misspelt = {miss.path: miss for miss in find_near_misses(parameters)} if problems else {}
    return [
        replace(problem, hint=_correct(problem.expected, misspelt[problem.path]))
        if _is_of(problem, misspelt)
        else problem
        for problem in problems
    ]


def is_mapping_expected(flow: flow_analysis.Flow, parameters: Mapping[str, Any], path: Path) -> bool:
    """Return whether the flow accepts no text at this path, where it accepts a mapping."""
    return any(problem.path == path for problem in flow_analysis.check(flow, _with_text(parameters, path)))


def _is_of(problem: ParameterProblem, paths: Collection[Path]) -> bool:
    return problem.code is ParameterCode.WRONG_TYPE and problem.path in paths


def _concerns(problem: ParameterProblem, paths: Collection[Path]) -> bool:
    """Return whether a wrong type may be that of a value at one of these paths, inside of one, or around one."""
    if problem.code is not ParameterCode.WRONG_TYPE:
        return False
    return any(path[: len(problem.path)] == problem.path[: len(path)] for path in paths)


def _with_text(value: Any, path: Path) -> Any:
    """Return a copy of this JSON value with a text at `path`."""
    if not path:
        return _PROBE
    if isinstance(value, Mapping):
        return {**value, path[0]: _with_text(value[str(path[0])], path[1:])}
    return [_with_text(item, path[1:]) if index == path[0] else item for index, item in enumerate(value)]


def _probe(reference: Mapping[str, Any]) -> str | int:
    return sample_values(reference)[0] if reference.get("format") == "timestamp" else _PROBE


def _type_problems(problem: ParameterProblem, reference: Mapping[str, Any]) -> Iterator[ParameterProblem]:
    """Yield the problem if this reference gives values that do not have the expected type."""
    expected, layout = problem.expected, reference.get("format", "datetime")
    samples = sample_values(reference)
    choices = _choices(expected)
    if layout in FORMATS and not choices:
        del samples[1:]
    refused = [value for value in samples if check_type(expected, value)]
    if not refused:
        return
    name, wanted = label(problem.path), spell(expected)
    if is_run_reference(reference):
        message = f"{name}: expected {wanted}, but the reference gives {describe_value(reference)}"
        yield replace(problem, message=message, hint=_advice(expected, reference))
        return
    values = _GIVES.get(layout, f"text in the format {quote(layout)}")
    if len(refused) < len(samples) or any(_can_give(layout, choice) for choice in choices):
        message = f"{name}: the reference gives {values}, and {wanted} accepts only some of these values"
        hint = "make sure that the schedules are due only at times whose value is accepted, or extend the type hint"
        yield replace(problem, message=message, hint=hint, is_certain=False)
        return
    message = f"{name}: expected {wanted}, but the reference gives {values}"
    yield replace(problem, message=message, hint=_advice(expected, reference))


def _correct(expected: Any, miss: NearMiss) -> str:
    """Return what to write instead of a misspelt reference: the correct one, with a format that is accepted."""
    if miss.correction is None or not check_type(expected, sample_values(miss.correction)[0]):
        return miss.hint
    return _advice(expected, miss.correction)


def _choices(expected: Any) -> list[Any]:
    return [choice for branch in branches_of(expected) for choice in choices_of(branch)]


def _can_give(layout: str, choice: Any) -> bool:
    """Return whether a reference with this format gives the value at some due time."""
    if not isinstance(choice, str):
        return layout == "timestamp" and isinstance(choice, int)
    pattern = _LAYOUTS.get(layout, layout)
    try:
        return datetime.strptime(choice, pattern).strftime(pattern) == choice  # noqa: DTZ007
    except ValueError:
        return False


def _advice(expected: Any, reference: Mapping[str, Any]) -> str:
    """Return what to write instead of a reference that the signature does not accept."""
    if choices := _choices(expected):
        listed = ", ".join(map(repr, choices[:_MAX_SHOWN]))
        return f"write a literal value: {listed}{', …' if len(choices) > _MAX_SHOWN else ''}"
    is_fixed = is_run_reference(reference)
    for layout in FORMATS:
        corrected = reference if is_fixed else {**reference, "format": layout}
        (sample, *_) = sample_values(corrected)
        if not check_type(expected, sample):
            return f"write {as_yaml(corrected)}"
        if not check_type(expected, [sample]):
            return f"write it as a YAML list: [{as_yaml(corrected)}]"
    if is_fixed:
        return "this reference gives text: write a literal value, or use another type hint, such as str"
    return "a reference gives text or Unix seconds: write a literal value, or use another type hint, such as str"
