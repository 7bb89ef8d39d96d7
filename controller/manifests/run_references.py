"""References to values of the run that are not times: `{from: run.id}`, `{from: revision}` and `{from: env.NAME}`.

`parameter_references` finds, checks and resolves them beside those to the due time. A reference to an environment
variable that has no value stays as it is; `runs` calls `Variables.check` and records why the run can't start.
"""

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from controller.errors import ControllerError, UsageError
from controller.manifests.yaml.nodes import Path
from controller.records import dataclass
from controller.schedules.messages import quote
from controller.sdk.messages import label

RUN_ID, REVISION = "run.id", "revision"
_VARIABLE = re.compile(r"env\.(?!result$)([A-Za-z_][A-Za-z0-9_]*)")
"""`env.result` is the result of an upstream deployment with the name env."""
_KEYS = frozenset(("from", "format", "shift", "timezone", "default"))
"""A mapping with any other key, such as `{from: revision, to: 3}`, is meant literally."""


class MissingValueError(ControllerError):
    """A parameter refers to a value that does not exist. The message says which, and begins with the parameter."""

    reason = "MissingValue"

    def as_usage_error(self, hint: str) -> UsageError:
        """Return the error of a request for a run with this parameter."""
        return UsageError(f"{self.message[:1].upper()}{self.message[1:]}.", hint=hint)


class MissingVariableError(MissingValueError):
    """A parameter refers to an environment variable that the operator does not allow, or that is not set."""

    reason = "MissingVariable"


class Variables:
    """The environment variables that parameters may refer to: those of `values` in `allowed`; None allows all."""

    def __init__(self, values: Mapping[str, str], allowed: Collection[str] | None = ()) -> None:
        self._values = values
        self._allowed = allowed

    def find(self, reference: Mapping[str, Any]) -> Any:
        """Return the value of the variable of this reference; else the reference itself."""
        name = variable_of(reference)
        return reference if name is None or self._fault(name) else self._values[name]

    def check(self, references: Mapping[Path, Mapping[str, Any]]) -> None:
        """Raise MissingVariableError if one of these references, by their path, is to a variable without a value."""
        for path, reference in references.items():
            name = variable_of(reference)
            if name is not None and (fault := self._fault(name)):
                source = quote(reference["from"])
                raise MissingVariableError(f"parameter {label(path)}: {source}: {fault[0]}", hint=fault[1])

    def _fault(self, name: str) -> tuple[str, str] | None:
        """Return why a parameter can't get this variable, and what to do."""
        if self._allowed is not None and name not in self._allowed:
            return "the operator does not allow this variable", f"start the controller with --parameter-env {name}"
        value = self._values.get(name)
        if value is None:
            return "this variable is not set", f"set {name} in the environment of the controller"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "the value of this variable is not UTF-8", f"set {name} to a text in UTF-8"
        return None


NO_VARIABLES = Variables({})


@dataclass(frozen=True, slots=True)
class RunValues:
    """The values that references of one run get. `revision` is that of CONTROLLER_REVISION."""

    run_id: str
    revision: str
    variables: Variables = NO_VARIABLES

    def find(self, reference: Mapping[str, Any]) -> Any:
        """Return the value of a valid reference; the reference itself if its variable has none."""
        fixed = {RUN_ID: self.run_id, REVISION: self.revision}
        return fixed[reference["from"]] if reference["from"] in fixed else self.variables.find(reference)


@cache
def sample_values() -> RunValues:
    """Return values of the form that those of runs have."""
    return RunValues("0199f3c5-7b2e-7a41-8d0c-5e6f1a2b3c4d", "main@sha1:3f8a1c9d5e7b2046f1a3c5d7e9b8d6f4a2c0e1f3")


def is_run_reference(value: Mapping[str, Any]) -> bool:
    """Return whether this mapping is meant as a reference to the id of the run, its revision or a variable."""
    source = value.get("from")
    if not isinstance(source, str) or (source not in (RUN_ID, REVISION) and _VARIABLE.fullmatch(source) is None):
        return False
    return value.keys() <= _KEYS


def variable_of(reference: Mapping[str, Any]) -> str | None:
    """Return the name of the environment variable that a reference is to; None if it is to something else."""
    match = _VARIABLE.fullmatch(reference["from"])
    return match[1] if match else None


def describe_value(reference: Mapping[str, Any]) -> str:
    """Return what a reference gives, as text for a message."""
    if reference["from"] == RUN_ID:
        return "the id of the run"
    return "the revision" if reference["from"] == REVISION else "an environment variable"
