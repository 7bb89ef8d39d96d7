"""Reads a webhook trigger: a mapping under `on`. `trigger_fields` calls `read_webhook_trigger`.

Whether another deployment has a webhook of the same name is checked by `webhook_findings`.
"""

from collections.abc import Mapping
from typing import Any

from controller.manifests.json_paths import JsonPathError, check_query
from controller.manifests.notify_fields import read_secret
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.findings import Severity
from controller.model.triggers import WebhookSignature, WebhookTrigger
from controller.text import shorten

RESERVED = "git"
"""The name of the webhook of git servers, `/hooks/git`."""
DEFAULT_HEADERS = {
    WebhookSignature.HMAC_SHA256: "X-Signature",
    WebhookSignature.TOKEN: "Authorization",
    WebhookSignature.STANDARD_WEBHOOKS: "webhook-signature",
    WebhookSignature.STRIPE: "Stripe-Signature",
    WebhookSignature.SLACK: "X-Slack-Signature",
}
"""The header with the signature or the token, if the document names none."""
_SENDERS = {WebhookSignature.STRIPE: "Stripe", WebhookSignature.SLACK: "Slack"}


def read_webhook_trigger(context: ValidationContext, path: Path, fields: Mapping[str, Any]) -> WebhookTrigger | None:
    """Return the webhook trigger at `path`, which matches the schema; None after adding a problem."""
    signature = WebhookSignature(fields.get("signature", WebhookSignature.HMAC_SHA256))
    if fields["name"] == RESERVED:
        message = f"{RESERVED} is the webhook of git servers"
        context.add("ReservedWebhook", message, (*path, "name"), hint="choose another name")
    if signature is WebhookSignature.STANDARD_WEBHOOKS and "header" in fields:
        message = "Standard Webhooks have headers of their own"
        context.add("InvalidValue", message, (*path, "header"), hint="remove header", at_key=True)
    sender = _SENDERS.get(signature)
    if (
        sender is not None
        and fields.get("header", DEFAULT_HEADERS[signature]).lower() != DEFAULT_HEADERS[signature].lower()
    ):
        message = f"{sender} sends its signature in {DEFAULT_HEADERS[signature]}, not in {shorten(fields['header'])}"
        hint = f"remove header, unless another sender uses the signature of {sender}"
        place = (*path, "header")
        context.add("UnusualHeader", message, place, hint=hint, severity=Severity.WARNING, at_key=True)
    for name, query in fields.get("parameters", {}).items():
        try:
            check_query(query)
        except JsonPathError as error:
            message = f"{shorten(query)} is not a JSONPath: {shorten(str(error), 200)}"
            hint = "write a query such as $.type or $.data.object.id"
            context.add("InvalidJsonPath", message, (*path, "parameters", name), hint=hint)
    if not context.is_clean(path):
        return None
    return WebhookTrigger(
        name=fields["name"],
        secret=read_secret(fields["secret"]),
        signature=signature,
        header=fields.get("header", DEFAULT_HEADERS[signature]),
        parameters=fields.get("parameters", {}),
    )
