"""Reads a file trigger: a mapping under `on`. `trigger_fields` calls `read_file_trigger`.

It only reads the document: whether the folder exists, and whether the operator allows it, is known to the controller.
"""

import posixpath
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from controller.manifests.field_rules import has_control
from controller.manifests.schedule_fields import read_duration
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.triggers import FileTrigger
from controller.schedules.messages import quote
from controller.text import shorten

LONGEST_SETTLE = timedelta(days=1)


def read_file_trigger(context: ValidationContext, path: Path, fields: Mapping[str, Any]) -> FileTrigger | None:
    """Return the file trigger at `path`, which matches the schema; None after adding a problem."""
    for key in ("path", "pattern"):
        if has_control(fields.get(key, "")):
            context.add("ControlCharacter", "a path can't contain control characters", (*path, key))
    pattern = fields.get("pattern", "*")
    if pattern.startswith("/") or any(part in ("", ".", "..") for part in pattern.split("/")):
        message = "pattern must be a path relative to the folder, without empty parts, `.` and `..`"
        hint = "write the folder in path, and a glob such as *.csv or **/*.csv in pattern"
        context.add("InvalidValue", message, (*path, "pattern"), hint=hint)
    elif "[" in pattern and (part := next(filter(_has_open_bracket, pattern.split("/")), None)):
        hint = f"close it, or write {part.replace('[', '[[]')} for a bracket"
        context.add("InvalidValue", f"{quote(part)} has a bracket that is not closed", (*path, "pattern"), hint=hint)
    if ".." in fields["path"].split("/") and context.is_clean((*path, "path")):
        hint = f"write {shorten(_folder(fields['path']), 200)}"
        context.add("InvalidValue", "path can't contain `..`", (*path, "path"), hint=hint)
    settle = read_duration(context, (*path, "settle"), fields["settle"]) if "settle" in fields else timedelta(seconds=5)
    if settle is not None and settle > LONGEST_SETTLE:
        context.add("InvalidDuration", "settle must be at most one day", (*path, "settle"))
    if settle is None or not context.is_clean(path):
        return None
    return FileTrigger(path=_folder(fields["path"]), pattern=pattern, settle=settle, parameter=fields.get("parameter"))


def _folder(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def _has_open_bracket(glob: str) -> bool:
    """Return whether a `[` in this glob has no `]`. As in `fnmatch`, a `]` right after `[` or `[!` is a character."""
    return re.search(r"\[", re.sub(r"\[!?+\]?+[^]]*+\]", "", glob)) is not None
