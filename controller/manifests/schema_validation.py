"""Validates documents against the packaged JSON Schemas and returns readable problems.

`build` calls it first. jsonschema-rs accepts a valid document within microseconds. For an invalid one, the jsonschema
library finds the reasons and `schema_messages` words them. All are imported on first use (20 and 100 ms) and never
fetch anything: all references are inside the schema.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.manifests.yaml.nodes import Node, Problem

if TYPE_CHECKING:
    from jsonschema import Draft7Validator, ValidationError

    from controller.manifests.schema_messages import SchemaFault

MAX_PROBLEMS = 50
"""Limit per document, so that a hostile file can't make us report ten thousand problems."""

_SCHEMAS = Path(__file__).parents[1] / "schemas"
_MATRIX_REFERENCE = {"$ref": "#/definitions/matrix_reference"}
_WITHOUT_PLACEHOLDERS = {"pattern": "^[^{]*$"}
DEPLOYMENT = "deployment"
PROJECT = "project"
NOTIFY = "notify"


def schema_text(which: str = DEPLOYMENT) -> str:
    """Return the JSON Schema of a deployment, controller.yaml or notify.yaml, as `controller schema` prints it."""
    return (_SCHEMAS / f"{which}.v1.schema.json").read_text(encoding="utf-8")


def deployment_schema_text() -> str:
    """Return the JSON Schema of a deployment."""
    return schema_text(DEPLOYMENT)


def check_shape(root: Node, which: str = DEPLOYMENT) -> tuple[Problem, ...]:
    """Return the schema violations of a document, at most MAX_PROBLEMS."""
    if accepts(root.value, which):
        return ()
    from controller.manifests.schema_messages import problems_of

    problems = (problem for fault in _faults(root.value, which) for problem in problems_of(fault, root))
    return tuple(islice(_distinct(problems), MAX_PROBLEMS))


def accepts(value: Any, which: str = DEPLOYMENT) -> bool:
    """Return True only if the value is valid. False is not final: `validator` decides."""
    try:
        return _quick_check(which)(value)
    except ValueError:  # JSON has no such value: half of a surrogate pair, for example
        return False


@cache
def _quick_check(which: str) -> Callable[[Any], bool]:
    from jsonschema_rs import Draft7Validator

    return Draft7Validator(_document_schema(which)).is_valid


@cache
def validator(which: str = DEPLOYMENT) -> "Draft7Validator":
    """Return the validator that finds the reasons why a document is invalid."""
    from jsonschema import Draft7Validator, ValidationError
    from jsonschema.validators import extend
    from referencing import Registry

    def pattern(_: Any, expression: str, instance: Any, __: Any) -> "Iterator[ValidationError]":
        """Match as ECMA 262 does: `$` is the very end of the string, not the position before a final line break."""
        if isinstance(instance, str) and not re.search(expression.removesuffix("$") + r"\Z", instance):
            yield ValidationError(f"does not match {expression!r}")

    strict: type[Draft7Validator] = extend(Draft7Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]
    return strict(_document_schema(which), registry=Registry())


def _document_schema(which: str) -> dict[str, Any]:
    """Return the schema of a single document, without lists of documents and without documents that are only `x-` keys.

    Also without the patterns of durations, times and sizes (`allOf`): those are for editors, our parsers check more.
    And without references and placeholders of a matrix: a document is checked after they have been replaced.
    """
    schema: dict[str, Any] = json.loads(schema_text(which))
    if which == DEPLOYMENT:
        schema.pop("if")
        schema |= schema.pop("else")
    schema = _without_matrix(_without_value_formats(schema))
    for branch in (*schema.get("oneOf", ()), schema.get("not", {})):
        if branch.pop("type", "object") == "array":
            schema["oneOf"].remove(branch)
    return {key: rule for key, rule in schema.items() if key not in ("items", "minItems")} | {"type": "object"}


def _without_value_formats(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_value_formats(item) for item in part]
    if isinstance(part, dict):
        return {key: _without_value_formats(rule) for key, rule in part.items() if key != "allOf"}
    return part


def _without_matrix(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_matrix(item) for item in part]
    if not isinstance(part, dict):
        return part
    rules = {key: _without_matrix(rule) for key, rule in part.items()}
    if rules.get("then") == _MATRIX_REFERENCE:
        types = [name for name in rules["type"] if name != "object"]
        return {key: rule for key, rule in rules.items() if key not in ("if", "then")} | {
            "type": types[0] if len(types) == 1 else types
        }
    if rules.get("if") == _WITHOUT_PLACEHOLDERS:
        return {key: rule for key, rule in rules.items() if key not in ("if", "then", "else")} | rules["then"]
    return rules


def _faults(value: Any, which: str) -> "Iterator[SchemaFault]":
    from controller.manifests.schema_messages import SchemaFault

    for error in validator(which).iter_errors(value):
        if "propertyNames" in error.absolute_schema_path and error.absolute_path[-1] in ("env", "secrets"):
            continue  # `field_rules` reports invalid variable names with better messages
        schema = error.schema if isinstance(error.schema, dict) else {}
        yield SchemaFault(
            keyword="propertyNames" if "propertyNames" in error.absolute_schema_path else str(error.validator),
            rule=error.validator_value,
            instance=error.instance,
            path=tuple(error.absolute_path),
            message=error.message,
            properties=schema.get("properties", {}),
            defaults=schema.get("definitions", {}).get("defaults", {}).get("properties", ()),
        )


def _distinct(problems: Iterator[Problem]) -> Iterator[Problem]:
    """Drop repeated problems: several keywords of the schema may report the same fault."""
    reported = set()
    for problem in problems:
        if (key := (problem.place, problem.path, problem.message)) not in reported:
            reported.add(key)
            yield problem
