"""Reads what starts a run besides the schedules: the triggers under `on`.

`build` calls `read_triggers`. Each kind of trigger has a module of its own: `file_trigger_fields` and `webhook_fields`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict

from controller.manifests.file_trigger_fields import read_file_trigger
from controller.manifests.validation_context import ValidationContext
from controller.manifests.webhook_fields import read_webhook_trigger
from controller.manifests.yaml.nodes import Path
from controller.model.triggers import FileTrigger, WebhookTrigger


class TriggerFields(TypedDict):
    """The fields of a Deployment that this module reads."""

    files: tuple[FileTrigger, ...]
    webhooks: tuple[WebhookTrigger, ...]


def read_triggers(context: ValidationContext) -> TriggerFields:
    """Return the triggers of the document, in its order. Invalid ones are left out."""
    declared = context.value.get("on") if context.is_valid_at(("on",)) else None
    triggers: list[tuple[Path, Any]] = []
    if isinstance(declared, Mapping):
        triggers = [(("on",), declared)]
    elif isinstance(declared, list):
        triggers = [(("on", index), trigger) for index, trigger in enumerate(declared)]
    files: list[FileTrigger] = []
    webhooks: list[WebhookTrigger] = []
    for path, trigger in triggers:
        if not context.is_clean(path):
            continue
        if "files" in trigger:
            file_trigger = read_file_trigger(context, (*path, "files"), trigger["files"])
            files += [file_trigger] if file_trigger is not None else []
        elif "webhook" in trigger:
            webhook = read_webhook_trigger(context, (*path, "webhook"), trigger["webhook"])
            webhooks += [webhook] if webhook is not None else []
    return TriggerFields(files=tuple(files), webhooks=tuple(webhooks))
