"""Reads a webhook trigger: a mapping under `on`. `trigger_fields` calls `read_webhook_trigger`."""

from collections.abc import Mapping
from typing import Any

from controller.manifests.notify_fields import read_secret
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.triggers import WebhookSignature, WebhookTrigger

DEFAULT_HEADER = "X-Signature"
"""The header with the signature or the token, if the document names none."""


def read_webhook_trigger(context: ValidationContext, path: Path, fields: Mapping[str, Any]) -> WebhookTrigger | None:
    """Return the webhook trigger at `path`, which matches the schema; None after adding a problem."""
    if not context.is_clean(path):
        return None
    return WebhookTrigger(
        name=fields["name"],
        secret=read_secret(fields["secret"]),
        signature=WebhookSignature(fields.get("signature", WebhookSignature.HMAC_SHA256)),
        header=fields.get("header", DEFAULT_HEADER),
        parameters=fields.get("parameters", {}),
    )
