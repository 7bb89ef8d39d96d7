"""Finds out whether two requests to a webhook are the same delivery. Pure. `triggers.webhooks` calls it."""

import hashlib
from datetime import timedelta

from controller.model.triggers import DELIVERY_LIFE
from controller.records import dataclass
from controller.triggers.signatures import REPLAY_WINDOW, SignedRequest

ID_HEADERS = (
    "Idempotency-Key",
    "webhook-id",
    "svix-id",
    "X-GitHub-Delivery",
    "X-Gitea-Delivery",
    "X-Request-UUID",
    "X-Shopify-Webhook-Id",
    "X-Gitlab-Event-UUID",
)
"""Headers with the id of a delivery. That of GitLab is the last one: requests that one event causes may share it."""
_LONGEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The id of a delivery, at most 110 characters long, and for how long a repeated one is not accepted again."""

    id: str
    life: timedelta


def identify_delivery(request: SignedRequest) -> Delivery:
    """Return the id that the sender gave to this request, or else an id that is made of its body."""
    for name in ID_HEADERS:
        value = (request.headers.get(name) or "").strip()
        if value:
            is_plain = len(value) <= _LONGEST and value.isascii() and value.isprintable()
            text = value if is_plain else hashlib.sha256(value.encode("latin-1", "replace")).hexdigest()
            return Delivery(id=f"id:{text}", life=DELIVERY_LIFE)
    return Delivery(id=f"body:{hashlib.sha256(request.body).hexdigest()}", life=REPLAY_WINDOW)
