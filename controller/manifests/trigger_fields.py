"""Reads what starts a run besides the schedules: the triggers under `on`.

`build` calls `read_triggers`, and `flow_references` checks the parameters of `trigger_calls`. Each kind of trigger has
a module of its own: `file_trigger_fields` and `webhook_fields`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from controller.manifests.file_trigger_fields import read_file_trigger
from controller.manifests.validation_context import ValidationContext
from controller.manifests.webhook_fields import read_webhook_trigger
from controller.manifests.yaml.nodes import Path, Position
from controller.model.triggers import FileTrigger, WebhookTrigger


class TriggerFields(TypedDict):
    """The fields of a Deployment that this module reads."""

    files: tuple[FileTrigger, ...]
    webhooks: tuple[WebhookTrigger, ...]


UNKNOWN_VALUE: Any = ...
"""The value of a parameter that a run gets from outside: its type is not checked."""


def read_triggers(context: ValidationContext) -> TriggerFields:
    """Return the triggers of the document, in its order. Invalid ones are left out."""
    files: list[FileTrigger] = []
    webhooks: list[WebhookTrigger] = []
    for path, fields in _declarations(context):
        if path[-1] == "files":
            file_trigger = read_file_trigger(context, path, fields)
            files += [file_trigger] if file_trigger is not None else []
        else:
            webhook = read_webhook_trigger(context, path, fields)
            webhooks += [webhook] if webhook is not None else []
    return TriggerFields(files=tuple(files), webhooks=tuple(webhooks))


def trigger_calls(context: ValidationContext) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the path of each valid trigger with the parameters that it sets. A file is passed as its path."""
    for path, fields in _declarations(context):
        if path[-1] == "files":
            name = fields.get("parameter")
            yield path, {} if name is None else {name: f"{fields['path']}/file"}
        else:
            yield path, dict.fromkeys(fields.get("parameters", {}), UNKNOWN_VALUE)


def webhook_places(context: ValidationContext) -> Iterator[tuple[str, Position, Path]]:
    """Yield the name of each webhook that matches the schema, with its position and path."""
    for path, fields in _declarations(context):
        if path[-1] == "webhook":
            yield fields["name"], context.root.at((*path, "name")).place, (*path, "name")


def parameter_path(call: Path, parameter: Path) -> Path:
    """Return the path of a parameter that the schedule or the trigger at `call` sets."""
    return (*call, "parameter") if call[-1:] == ("files",) else (*call, "parameters", *parameter)


def _declarations(context: ValidationContext) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the fields of each trigger that matches the schema, with the path, which ends with its kind."""
    declared = context.value.get("on")
    if declared is None or not context.is_valid_at(("on",)):
        return
    triggers: list[tuple[Path, Any]] = []
    if isinstance(declared, Mapping):
        triggers = [(("on",), declared)]
    elif isinstance(declared, list):
        triggers = [(("on", index), trigger) for index, trigger in enumerate(declared)]
    for path, trigger in triggers:
        if context.is_clean(path):
            kind = "files" if "files" in trigger else "webhook"
            yield (*path, kind), trigger[kind]
