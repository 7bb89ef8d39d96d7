"""Reads the target of a document: a flow in a file of the repository, or a command.

`build` calls it. Paths are only checked as strings; `flow_references` and `command_checks` check that files exist.
"""

import posixpath

from controller.manifests.command_checks import yaml_word
from controller.manifests.field_rules import has_control
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.deployments import CommandTarget, FlowTarget, Target
from controller.text import shorten


def read_target(context: ValidationContext, folder: str) -> Target | None:
    """Return the target of a document in a file of this folder, or add a problem and return None."""
    command = context.get("command")
    if command is not None:
        return _command(context, command)
    if (flow := context.get("flow")) is not None:
        place, _, name = flow.partition(":")
        if not place.endswith(".py"):
            return _module(context, place, name)
        return _flow(context, "flow", path_inside(context, ("flow",), place, ""), name)
    if (location := context.get("flow_location")) is not None:
        path = path_inside(context, ("flow_location",), location, folder)
        return _flow(context, "flow_name", path, context.get("flow_name"))
    return None


def read_working_directory(context: ValidationContext) -> str:
    """Return the working directory, relative to the repository root; empty for the root itself or after a problem."""
    value = context.get("working_directory")
    path = None if value is None else path_inside(context, ("working_directory",), value, "")
    return "" if path in (None, ".") else str(path)


def _module(context: ValidationContext, module: str, name: str) -> FlowTarget | None:
    if not all(part.isidentifier() for part in module.split(".")):
        hint = "write the path of a file (flows/etl.py:main), or a dotted module (acme_flows.daily:main)"
        context.add("InvalidFlow", f"{shorten(module)} is neither a Python file nor a module", ("flow",), hint=hint)
    return FlowTarget(path="", name=name, module=module) if _is_name(context, "flow", name) else None


def _command(context: ValidationContext, command: list[str]) -> CommandTarget | None:
    if not command[0].strip():
        context.add("InvalidValue", "the program of a command must not be empty", ("command", 0))
    for index, word in enumerate(command):
        if "\0" in word:
            context.add("ControlCharacter", "an argument can't contain the character U+0000", ("command", index))
    if not context.is_clean(("command",)):
        return None
    from controller.manifests.command_checks import check_words  # many repositories have only flows

    check_words(context, command)
    skip_exit_code = context.get("skip_exit_code")
    return CommandTarget(argv=tuple(command), skip_exit_code=None if skip_exit_code is None else int(skip_exit_code))


def _flow(context: ValidationContext, key: str, path: str | None, name: str | None) -> FlowTarget | None:
    if not _is_name(context, key, name) or path is None:
        return None
    return FlowTarget(path=path, name=name)


def _is_name(context: ValidationContext, key: str, name: str | None) -> bool:
    """Return whether `key` is valid, after a check of the flow's name."""
    if name is not None and (has_control(name) or name != name.strip()):
        message = "a flow name must not have control characters or surrounding spaces"
        context.add("InvalidFlow", message, (key,))
    return context.is_clean((key,))


def path_inside(context: ValidationContext, place: Path, path: str, folder: str) -> str | None:
    """Resolve `path` from `folder` and return it relative to the repository root, or add a problem and return None.

    `place` is where the document says it.
    """
    if "\\" in path or has_control(path) or path != path.strip():
        message = "a path must use `/` and must not have control characters or surrounding spaces"
        code = "InvalidFlow" if place[0] in ("flow", "flow_location") else "InvalidValue"
        plain = path.replace("\\", "/").strip()
        context.add(code, message, place, hint=None if has_control(plain) else f"write the path as {yaml_word(plain)}")
        return None
    if path.startswith("/"):
        base = "this file" if place[0] == "flow_location" else "the repository root"
        hint = f"write it relative to {base}"
        context.add("OutsideRepository", "an absolute path is outside the repository", place, hint=hint)
        return None
    resolved = posixpath.normpath(posixpath.join(folder, path))
    if resolved == ".." or resolved.startswith("../"):
        context.add("OutsideRepository", f"{resolved} is outside the repository", place)
        return None
    return resolved
