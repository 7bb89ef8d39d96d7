"""Parameters that refer to the result of an upstream run, such as `{from: ingest.result.path}`, and their resolution.

`build` checks the references of a document. `runs` resolves them when the upstream runs have released a run, so that
the run starts with literal values only. Other references are in `parameter_references`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from controller.manifests.after_fields import AFTER
from controller.manifests.parameter_references import LISTS, MAPPINGS, SCALARS
from controller.manifests.run_references import MissingValueError, is_run_reference
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.findings import Severity
from controller.model.triggers import After, UpstreamOutcome
from controller.schedules.messages import quote
from controller.sdk.messages import describe, label
from controller.text import did_you_mean, shorten

_SOURCE = re.compile(r"(.+)\.result(?:\.(.+))?", re.DOTALL)
_RESULT = "result"
_CODE = "InvalidReference"


class MissingResultError(MissingValueError):
    """A parameter refers to a value that the result of the upstream run does not have."""

    reason = "MissingResult"


def is_upstream_reference(value: Any) -> bool:
    """Return whether this value is a reference to a result: a mapping with the one key `from`, as `NAME.result…`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    source = value.get("from")
    return isinstance(source, str) and _SOURCE.fullmatch(source) is not None


def find_upstream_references(parameters: Mapping[str, Any]) -> dict[Path, str]:
    """Return the references to results in these parameters: their `from` by their path."""
    return {path: mapping["from"] for path, mapping in _find(parameters, ()) if is_upstream_reference(mapping)}


def resolve_upstream_references(parameters: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with each reference to a result replaced by its value.

    `results` has the results of the upstream runs, by the name of their deployment: JSON values, None for a run without
    a result. Raises MissingResultError if a result lacks the value, or if that deployment has no run.
    """
    return {name: _resolve(value, (name,), results) for name, value in parameters.items()}


def check_upstream_references(context: ValidationContext, after: After) -> None:
    """Add the problems of the references in the parameters of the deployment and of its schedules."""
    if not context.is_clean((AFTER,)):
        return
    names = [upstream.deployment for upstream in after.upstreams]
    for place, parameters in context.referring:
        for path, mapping in _find(parameters, ()):
            if is_run_reference(mapping):
                continue  # also if an upstream deployment has the name run or env
            if context.is_clean(full_path := (*place, "parameters", *path)):
                _check(context, full_path, mapping, after, names)


def _check(
    context: ValidationContext, path: Path, mapping: Mapping[str, Any], after: After, names: Collection[str]
) -> None:
    source = mapping["from"]
    name = _upstream_name(source, names)
    if name is None:
        if not is_upstream_reference(mapping):
            return  # a literal mapping
        undeclared = _named_deployment(source)
        message = f"{quote(source)} refers to {shorten(undeclared)}, which `after` does not list"
        plain = source.removeprefix("upstream.")
        is_prefixed = plain != source and _upstream_name(plain, names) is not None
        hint = did_you_mean(undeclared, names) or f"add {shorten(undeclared)} to after"
        hint = f"write {shorten(plain)}" if is_prefixed else hint
        context.add(_CODE, message, (*path, "from"), hint=hint)
        return
    others = [key for key in mapping if key != "from"]
    if others:
        message = f"a reference to a result has no key {quote(others[0])}"
        context.add(
            _CODE, message, (*path, others[0]), hint="a reference to a result has only the key from", at_key=True
        )
    elif not is_upstream_reference(mapping) or "" in source.removeprefix(f"{name}.").split("."):
        message = f"{quote(source)} is not a result of {shorten(name)}"
        hint = f"write {name}.{_RESULT}, or {name}.{_RESULT}.KEY for a part of it"
        context.add(_CODE, message, (*path, "from"), hint=hint)
    elif reason := _missing_reason(name, after):
        hint = "read get_run_context().upstream in the flow, or CONTROLLER_UPSTREAM in a command"
        context.add("ResultMayBeMissing", reason, (*path, "from"), hint=hint, severity=Severity.WARNING)


def _missing_reason(name: str, after: After) -> str | None:
    """Return why a released run may fail because this upstream deployment has no result; None if that is not known."""
    if after.any and len(after.upstreams) > 1:
        return f"a run that another upstream deployment starts has no result of {shorten(name)}, and fails"
    outcome = next(upstream.on for upstream in after.upstreams if upstream.deployment == name)
    if outcome is UpstreamOutcome.FAILED:
        return f"a failed run of {shorten(name)} has no result, so the run fails"
    return None


def _upstream_name(source: str, names: Iterable[str]) -> str | None:
    """Return the upstream deployment that a `from` refers to. Names may contain dots, so the longest name counts."""
    matches = [name for name in names if source.startswith(f"{name}.")]
    results = [name for name in matches if source == f"{name}.{_RESULT}" or source.startswith(f"{name}.{_RESULT}.")]
    return max(results or matches, key=len, default=None)


def _named_deployment(source: str) -> str:
    """Return the name in a `from` that refers to no upstream deployment."""
    return source.rpartition(f".{_RESULT}.")[0] or source.removesuffix(f".{_RESULT}")


def _find(value: Any, path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the mappings in a JSON value that may be references, with their path."""
    if isinstance(value, MAPPINGS):
        if path and isinstance(value.get("from"), str):
            yield path, value
        for key, item in value.items():
            if item.__class__ not in SCALARS:
                yield from _find(item, (*path, key))
    elif isinstance(value, LISTS):
        for index, item in enumerate(value):
            if item.__class__ not in SCALARS:
                yield from _find(item, (*path, index))


def _resolve(value: Any, path: Path, results: Mapping[str, Any]) -> Any:
    if is_upstream_reference(value):
        return _value_of(value["from"], path, results)
    if isinstance(value, Mapping):
        return {key: _resolve(item, (*path, key), results) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolve(item, (*path, index), results) for index, item in enumerate(value)]
    return value


def _value_of(source: str, path: Path, results: Mapping[str, Any]) -> Any:
    """Return the value that a reference at `path` names. A number is the index of an item of a list."""
    parameter = f"parameter {label(path)}: {quote(source)}"
    name = _upstream_name(source, results)
    if name is None:
        raise MissingResultError(f"{parameter}: this run has no upstream run of {shorten(_named_deployment(source))}")
    value = results[name]
    if value is None:
        raise MissingResultError(f"{parameter}: the run of {name} has no result")
    steps = source.removeprefix(f"{name}.{_RESULT}").removeprefix(".")
    place = f"the result of {name}"
    for step in steps.split(".") if steps else ():
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list | tuple) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            actual = "" if isinstance(value, Mapping) else f": it is {describe(value)}"
            raise MissingResultError(f"{parameter}: {place} has no key {quote(step)}{actual}")
        place = f"{quote(step)} in {place}"
    return value
