"""Describes the webhooks of a deployment for the interfaces. `deployment_details` calls it. No secrets."""

from collections.abc import Mapping

from controller.model.triggers import WebhookSignature, WebhookTrigger
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """A webhook. `path` is that of its URL, and `parameters` has the JSONPath of each parameter."""

    name: str
    path: str
    signature: WebhookSignature
    header: str
    parameters: Mapping[str, str]


def webhook_view(webhook: WebhookTrigger) -> WebhookView:
    """Return the view of a webhook."""
    return WebhookView(
        name=webhook.name,
        path=f"/hooks/{webhook.name}",
        signature=webhook.signature,
        header=webhook.header,
        parameters=webhook.parameters,
    )
