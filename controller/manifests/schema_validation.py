"""Does a document have the shape of the format? Asks the packaged JSON Schema and returns problems for people.

`build` calls it first. `fast_schema` says yes quickly; after a no, the jsonschema library finds the reasons and
`schema_messages` puts them into words. The library is imported on first use (it costs 100 ms) and never fetches
anything: the registry is empty and the only references are inside the schema.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from controller.manifests.fast_schema import Check, Compiler
from controller.manifests.schema_messages import SchemaFault, problems_of
from controller.manifests.yaml.nodes import Node, Problem

if TYPE_CHECKING:
    from jsonschema import Draft7Validator, ValidationError

MAX_PROBLEMS = 50
"""Per document: enough to work on, and nobody can make us word ten thousand."""


DEPLOYMENT = "deployment"
PROJECT = "project"


@cache
def schema_text(which: str = DEPLOYMENT) -> str:
    """The JSON Schema of a deployment or of controller.yaml, as shipped: what `controller schema` prints."""
    return (files("controller") / "schemas" / f"{which}.v1.schema.json").read_text(encoding="utf-8")


def deployment_schema_text() -> str:
    """The JSON Schema of a deployment."""
    return schema_text(DEPLOYMENT)


def check_shape(root: Node, which: str = DEPLOYMENT) -> tuple[Problem, ...]:
    """Everything that is wrong with the shape of a document, at most MAX_PROBLEMS."""
    if _accepts(which)(root.value):
        return ()
    found = (problem for fault in _faults(root.value, which) for problem in problems_of(fault, root))
    return tuple(islice(_once(found), MAX_PROBLEMS))


@cache
def _of_one(which: str) -> dict[str, Any]:
    """The schema of one document, a mapping. What durations, times and sizes look like is for editors: left out."""
    schema: dict[str, Any] = _without_forms(json.loads(schema_text(which)))
    for branch in (*schema.get("oneOf", ()), schema.get("not", {})):
        if branch.pop("type", "object") == "array":
            schema["oneOf"].remove(branch)
    return {key: rule for key, rule in schema.items() if key not in ("items", "minItems")} | {"type": "object"}


def _without_forms(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_forms(item) for item in part]
    if isinstance(part, dict):
        return {key: _without_forms(rule) for key, rule in part.items() if key != "allOf"}
    return part


@cache
def _accepts(which: str) -> Check:
    schema = _of_one(which)
    return Compiler(schema).compile(schema)


def _faults(value: Any, which: str) -> Iterator[SchemaFault]:
    for error in _validator(which).iter_errors(value):
        if "propertyNames" in error.absolute_schema_path and error.absolute_path[-1] in ("env", "secrets"):
            continue  # names of environment variables: `rules` says more about them than the schema can
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        yield SchemaFault(
            keyword="propertyNames" if "propertyNames" in error.absolute_schema_path else str(error.validator),
            rule=error.validator_value,
            instance=error.instance,
            path=tuple(error.absolute_path),
            message=error.message,
            properties=known,
        )


def _once(problems: Iterator[Problem]) -> Iterator[Problem]:
    """No problem twice: the schema sees the same fault from several sides."""
    seen = set()
    for problem in problems:
        if (mark := (problem.place, problem.path, problem.message)) not in seen:
            seen.add(mark)
            yield problem


@cache
def _validator(which: str) -> "Draft7Validator":
    from jsonschema import Draft7Validator, ValidationError
    from jsonschema.validators import extend
    from referencing import Registry

    def pattern(_: Any, expression: str, instance: Any, __: Any) -> "Iterator[ValidationError]":
        """As ECMA 262 has it: `$` is the end of the text, not the place before a last line break."""
        if isinstance(instance, str) and not re.search(expression.removesuffix("$") + r"\Z", instance):
            yield ValidationError(f"does not match {expression!r}")

    strict: type[Draft7Validator] = extend(Draft7Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]
    return strict(_of_one(which), registry=Registry())
