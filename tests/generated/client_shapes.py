"""Generate `controller/client/shapes.py`: a TypedDict for each object that the HTTP API returns.

The source is the OpenAPI document of the application, which describes the values that `queries` returns. So a field is
declared once, in the value, and reaches the JSON, the OpenAPI document and the client's types from there.
"""

import re
import textwrap
from collections.abc import Iterator
from keyword import iskeyword
from typing import Any

from controller.api.http.application import make_routes

FILE = "controller/client/shapes.py"
NAMES = {
    "CommitEntry": "RecordedCommit",
    "ControllerView": "Controller",
    "DeploymentChange": "Change",
    "DeploymentView": "Deployment",
    "FormView": "Form",
    "IncidentView": "Incident",
    "LogChunk": "LogPart",
    "Message": "NotificationMessage",
    "ParameterFault": "Fault",
    "PassRecord": "Pass",
    "Preview": "Plan",
    "PythonEnvironmentRow": "PythonEnvironment",
    "ScheduleView": "Schedule",
    "SettingsView": "Settings",
    "SourceStatus": "Source",
    "StatusView": "Status",
    "controller__reconcile__fire_times__FireTimes": "FireTimeChange",
}
"""Public names of shapes whose component in the OpenAPI document has another name."""
BASES = {
    "BackfillDetail": "BackfillProgress",
    "DeploymentDetail": "Deployment",
    "PythonEnvironmentDetail": "PythonEnvironment",
    "RecordedCommit": "Commit",
    "RunDetail": "Run",
    "RunningRun": "Run",
}
"""Shapes that extend another one."""
WRAPPED = frozenset(
    {
        "AttentionPage",
        "DeploymentPage",
        "Faults",
        "LoginLink",
        "ReconcileAnswer",
        "controller__api__http__routes__deployments__FireTimes",
    }
)
"""Answers of which the client returns one field."""
_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_HEADER = '''# Generated from the OpenAPI document by `make generate`. Do not edit.
"""The answers of the HTTP API as types: JSON objects by the names of their fields.

Times are ISO 8601 strings in UTC with `Z`. A later version may add fields to an answer and removes none.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict
'''


def generate() -> str:
    """Return the text of the module, formatted as ruff formats it."""
    document = make_routes(None, None).openapi()
    schemas: dict[str, Any] = document["components"]["schemas"]
    shapes = {NAMES.get(component, component): schemas[component] for component in _answers(document)}
    bases_first = sorted(shapes, key=lambda name: (name in BASES, name))
    classes = "\n\n".join(_class_of(name, shapes, schemas) for name in bases_first)
    enums = [name for name in schemas if "enum" in schemas[name] and re.search(rf": .*\b{name}\b", classes)]
    exported = "".join(f'    "{name}",\n' for name in sorted([*shapes, *enums]))
    literals = "\n".join(_literal_of(name, schemas[name]["enum"]) for name in sorted(enums))
    return f"{_HEADER}\n__all__ = [\n{exported}]\n\n{literals}\n\n\n{classes}"


def _answers(document: dict[str, Any]) -> list[str]:
    """The components that successful answers consist of, without pages, wrappers and enumerations."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    waiting: list[Any] = [
        response
        for operation in operations
        for status, response in operation["responses"].items()
        if status.startswith("2")
    ]
    reached: set[str] = set()
    while waiting:
        new = set(_references(waiting.pop())) - reached
        reached |= new
        waiting += [schemas[component] for component in new]
    return sorted(
        component
        for component in reached - WRAPPED
        if "properties" in schemas[component] and not component.startswith("Page_")
    )


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _class_of(name: str, shapes: dict[str, Any], schemas: dict[str, Any]) -> str:
    shape, base = shapes[name], BASES.get(name)
    fields: dict[str, Any] = shape["properties"]
    if base is not None:
        inherited = shapes[base]["properties"]
        assert inherited.items() <= fields.items(), f"{name} has other fields than {base}"
        fields = {key: value for key, value in fields.items() if key not in inherited}
    # A key such as `from` cannot be declared in a class: the class gets it from a base.
    keywords = {key: _type_of(value, schemas) for key, value in fields.items() if iskeyword(key)}
    before = ""
    if keywords:
        assert base is None
        base = f"_{name}"
        listed = ", ".join(f'"{key}": {kind}' for key, kind in keywords.items())
        before = f'{base} = TypedDict("{base}", {{{listed}}})\n\n\n'
    lines = [f"class {name}({base or 'TypedDict'}):", *_docstring(shape["description"]), ""]
    lines += [f"    {key}: {_type_of(value, schemas)}" for key, value in fields.items() if key not in keywords]
    return before + "\n".join(lines) + "\n"


def _literal_of(name: str, values: list[str]) -> str:
    listed = ", ".join(f'"{value}"' for value in values)
    if len(name) + len(listed) <= 120 - len(" = Literal[]"):
        return f"{name} = Literal[{listed}]"
    return f"{name} = Literal[\n" + "".join(f'    "{value}",\n' for value in values) + "]"


def _docstring(text: str) -> list[str]:
    paragraphs = text.strip().split("\n\n")
    if len(paragraphs) == 1 and len(first := " ".join(text.split())) <= 110:
        return [f'    """{first}"""']
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += [""] if lines else []
        for item in re.split(r"\n(?=- )", paragraph):
            indent = "  " if item.startswith("- ") else ""
            lines += textwrap.wrap(" ".join(item.split()), 113, subsequent_indent=indent, break_on_hyphens=False)
    return [f'    """{lines[0]}', *(f"    {line}" if line else "" for line in lines[1:]), '    """']


def _type_of(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "$ref" in schema:
        component = str(schema["$ref"]).rpartition("/")[2]
        return NAMES.get(component, component)
    if "anyOf" in schema:
        return " | ".join(_type_of(option, schemas) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list[{_type_of(schema['items'], schemas)}]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties", True)
        return f"dict[str, {'Any' if values is True else _type_of(values, schemas)}]"
    return _SIMPLE.get(str(schema.get("type")), "Any")
