"""What a document says to run: a flow in a file of the repository, or a command.

`build` calls it. Paths are judged as text: whether the file exists is not asked here.
"""

import posixpath

from controller.manifests.command_checks import check_words
from controller.manifests.field_rules import has_control
from controller.manifests.validation_context import ValidationContext
from controller.model.deployments import CommandTarget, FlowTarget, Target


def read_target(draft: ValidationContext, file: str) -> Target | None:
    """The target of the document in `file`; None after a problem."""
    command = draft.get("command")
    if command is not None:
        return _command(draft, command)
    if (flow := draft.get("flow")) is not None:
        path, _, name = flow.partition(":")
        return _flow(draft, "flow", _inside(draft, "flow", path, ""), name)
    if (location := draft.get("flow_location")) is not None:
        path = _inside(draft, "flow_location", location, posixpath.dirname(file))
        return _flow(draft, "flow_name", path, draft.get("flow_name"))
    return None


def read_working_directory(draft: ValidationContext) -> str:
    """Where it starts, from the repository root; empty for the root itself, and after a problem."""
    said = draft.get("working_directory")
    found = None if said is None else _inside(draft, "working_directory", said, "")
    return "" if found in (None, ".") else str(found)


def _command(draft: ValidationContext, command: list[str]) -> CommandTarget | None:
    if not command[0].strip():
        draft.add("InvalidValue", "the program of a command must not be empty", ("command", 0))
    for index, word in enumerate(command):
        if "\0" in word:
            draft.add("ControlCharacter", "an argument can't contain the character U+0000", ("command", index))
    if not draft.clean(("command",)):
        return None
    check_words(draft, command)
    return CommandTarget(argv=tuple(command))


def _flow(draft: ValidationContext, key: str, path: str | None, name: str | None) -> FlowTarget | None:
    if name is not None and (has_control(name) or name != name.strip()):
        message = "the name of a flow has no control characters, and no spaces around it"
        draft.add("InvalidFlow", message, (key,))
    if path is None or not draft.clean((key,)):
        return None
    return FlowTarget(path=path, name=name)


def _inside(draft: ValidationContext, key: str, path: str, folder: str) -> str | None:
    """`path`, seen from `folder`, from the repository root; None after a problem."""
    if "\\" in path or has_control(path) or path != path.strip():
        message = "a path has `/` between its parts, no control characters, and no spaces around it"
        draft.add("InvalidValue" if key == "working_directory" else "InvalidFlow", message, (key,))
        return None
    if path.startswith("/"):
        start = "this file" if key == "flow_location" else "the repository root"
        hint = f"write it relative to {start}"
        draft.add("OutsideRepository", "an absolute path is not part of the repository", (key,), hint=hint)
        return None
    found = posixpath.normpath(posixpath.join(folder, path))
    if found == ".." or found.startswith("../"):
        draft.add("OutsideRepository", f"{found} lies outside the repository", (key,))
        return None
    return found
