"""Templates for the names of runs, such as `load-{region}-{due_time:%Y-%m-%d}`: their check and their names.

`build` calls `check_run_names`; `runs` calls `run_name` when it creates a run, and `complete_name` when upstream runs
release it. A placeholder is the name of a parameter or a key of the matrix, or `due_time` with an optional format.
Attributes, indices, conversions and expressions are not supported.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from controller.manifests.matrix import MATRIX
from controller.manifests.parameter_references import DUE_TIME, MAPPINGS, find_errors, is_reference, resolve
from controller.manifests.upstream_references import find_upstream_references
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.schedules.messages import quote
from controller.text import did_you_mean, replace_unprintable, shorten

MAX_NAME = 120
"""The maximum length of a name. Longer ones are cut."""
_BRACES = "write {parameter}, {due_time} or {due_time:%Y-%m-%d}, and {{ or }} for a brace"

Pieces = list[tuple[str, str | None, str]]
"""Each piece is a text and the placeholder after it, with its format; None if no placeholder follows."""


def check_run_names(context: ValidationContext, parameters: Collection[str]) -> None:
    """Add the problems of the templates of the deployment and its schedules.

    `parameters` are those that something else than `parameters` sets, such as a file trigger.
    """
    document = context.value
    if "run_name" not in document and not any("run_name" in schedule for _, schedule in _schedules(document)):
        return
    own = {*parameters, *_names(document.get("parameters")), *_names(document.get(MATRIX))}
    owners = list(_schedules(document))
    every = own.union(*(_names(owner.get("parameters")) for _, owner in owners))
    for path, owner, known in [((), document, every), *((path, owner, own) for path, owner in owners)]:
        place = (*path, "run_name")
        if isinstance(owner.get("run_name"), str) and context.is_clean(place):
            _check(context, place, owner["run_name"], {*known, *_names(owner.get("parameters"))})


def run_name(
    template: str | None, parameters: Mapping[str, Any], due_time: datetime, zones: Iterable[str], zone: str | None
) -> str | None:
    """Return the name that a template gives a run; None without a template, or if the name would be empty.

    `parameters` include the values of the matrix. A placeholder without a value stays as it is written; `complete_name`
    replaces those that still refer to something. See `parameter_references.resolve` for the other arguments.
    """
    if template is None:
        return None
    try:
        pieces = _parse(template)
    except ValueError:
        return None
    name = "".join(
        text + ("" if placeholder is None else _value(placeholder, layout, parameters, due_time, zones, zone))
        for text, placeholder, layout in pieces
    )
    return shorten(replace_unprintable(name), MAX_NAME).strip() or None


def complete_name(name: str | None, earlier: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """Return the name with the values of those parameters that were still references, or had them, as `earlier`."""
    texts = {f"{{{key}}}": _text(parameters[key]) for key in earlier if _is_open(earlier[key])}
    if name is None or not texts:
        return name
    completed = re.sub("|".join(map(re.escape, texts)), lambda match: texts[match[0]], name)
    return shorten(replace_unprintable(completed), MAX_NAME).strip() or None


def _check(context: ValidationContext, path: Path, template: str, parameters: Collection[str]) -> None:
    """Add the problems of the template at `path`, which can use `parameters`."""
    try:
        pieces = _parse(template)
    except ValueError as error:
        context.add("InvalidRunName", f"{quote(template)} is not a template: {error}", path, hint=_BRACES)
        return
    for _, placeholder, layout in pieces:
        if placeholder == DUE_TIME:
            for fault in find_errors({"": _reference(layout)}):
                context.add(
                    "InvalidRunName", f"{{{DUE_TIME}:{shorten(layout)}}}: {fault.message}", path, hint=fault.hint
                )
        elif placeholder is not None and placeholder not in parameters:
            message = (
                f"nothing sets the parameter {shorten(placeholder)} for the placeholder {{{shorten(placeholder)}}}"
            )
            hint = did_you_mean(placeholder, (*parameters, DUE_TIME))
            if hint is None and placeholder.isidentifier():
                hint = f"set it under parameters: {{{shorten(placeholder)}: …}}, or remove the placeholder"
            context.add("InvalidRunName", message, path, hint=hint or _BRACES)
        elif placeholder is not None and layout:
            message = f"the parameter {shorten(placeholder)} has no format; only {DUE_TIME} has one"
            context.add("InvalidRunName", message, path, hint=f"write {{{shorten(placeholder)}}}")


def _parse(template: str) -> Pieces:
    """Return the pieces of a template. Raises ValueError."""
    from string import Formatter  # most deployments have no template

    pieces: Pieces = []
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        raise ValueError("its braces do not match") from None
    for text, placeholder, layout, conversion in parsed:
        if placeholder is not None and (not placeholder.strip() or conversion is not None):
            raise ValueError(f"{{{placeholder}{'!' + conversion if conversion else ''}}} is not a placeholder")
        if "{" in (layout or ""):
            raise ValueError("a format can't contain a placeholder")
        pieces.append((text, placeholder, layout or ""))
    return pieces


def _value(
    placeholder: str,
    layout: str,
    parameters: Mapping[str, Any],
    due_time: datetime,
    zones: Iterable[str],
    zone: str | None,
) -> str:
    if placeholder == DUE_TIME:
        return str(resolve({"": _reference(layout)}, due_time, zones, schedule=zone)[""])
    value = parameters.get(placeholder, _MISSING)
    if value is _MISSING or _is_open(value):
        return f"{{{placeholder}}}"
    return _text(value)


def _is_open(value: Any) -> bool:
    """Return whether a value is not known yet."""
    return is_reference(value) or bool(find_upstream_references({"": value}))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_MISSING = object()


def _reference(layout: str) -> dict[str, str]:
    return {"from": DUE_TIME, **({"format": layout} if layout else {})}


def _names(parameters: Any) -> Iterable[str]:
    return parameters if isinstance(parameters, MAPPINGS) else ()


def _schedules(document: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the schedules of a document with their paths."""
    listed = document.get("schedules")
    owners: list[tuple[Path, Any]] = [(("schedule",), document["schedule"])] if "schedule" in document else []
    if listed and isinstance(listed, list):
        owners += [(("schedules", index), item) for index, item in enumerate(listed)]
    return ((path, owner) for path, owner in owners if isinstance(owner, MAPPINGS))
