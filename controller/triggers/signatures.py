"""Checks whether a request proves that its sender has the secret. Pure: no clock, no state.

`triggers.webhooks` calls it, before the body is parsed. All comparisons take constant time.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from controller.model.triggers import WebhookSignature
from controller.records import dataclass

REPLAY_WINDOW = timedelta(minutes=5)
"""How much the time in a signature may differ from the clock, as in Standard Webhooks and at Stripe and Slack."""
GIT_HEADERS = ("X-Hub-Signature-256", "X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature", "X-Signature")
"""Headers of git servers with the HMAC of the body: GitHub, Gitea, Forgejo, Gogs, and any other server."""
_NO_TIME = "the signature has no valid time"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as it was received. `headers` has the first value of each header, by name without regard to case."""

    headers: Mapping[str, str]
    body: bytes


def find_fault(
    signature: WebhookSignature, header: str, secret: str, request: SignedRequest, now: datetime
) -> str | None:
    """Return why this request does not prove that its sender has the secret; None if it does.

    The answer is for the operator. A sender must not learn it.
    """
    return _CHECKS[signature](header, secret, request, now)


def find_git_fault(secret: str, request: SignedRequest, now: datetime) -> str | None:
    """Return why this request does not prove that a git server has the secret; None if it does.

    It accepts the HMACs of GitHub, Gitea, Forgejo, Gogs, Bitbucket and Bitbucket Data Center, the signing token and the
    secret token of GitLab, and the HMAC of any other server in `X-Signature`. One valid proof is enough.
    """
    faults = [
        _check_hmac(header, secret, request, now) for header in GIT_HEADERS if request.headers.get(header) is not None
    ]
    if request.headers.get("X-Hub-Signature", "").startswith("sha256="):  # Bitbucket; at GitHub this is an HMAC-SHA1
        faults.append(_check_hmac("X-Hub-Signature", secret, request, now))
    if request.headers.get("webhook-signature") is not None:
        faults.append(_check_standard("", secret, request, now))
    if request.headers.get("X-Gitlab-Token") is not None:
        faults.append(_check_token("X-Gitlab-Token", secret, request, now))
    if not faults:
        return "it has no signature in a header that controller knows"
    return None if None in faults else faults[0]


def _check_hmac(header: str, secret: str, request: SignedRequest, _now: datetime) -> str | None:
    value = request.headers.get(header)
    if value is None:
        return f"it has no header {header}"
    is_valid = _matches(value.strip().removeprefix("sha256="), _hmac(_key(secret), request.body))
    return None if is_valid else _mismatch(header)


def _check_token(header: str, secret: str, request: SignedRequest, _now: datetime) -> str | None:
    value = request.headers.get(header)
    if value is None:
        return f"it has no header {header}"
    token = value.strip()
    if header.lower() == "authorization" and token[:7].lower() == "bearer ":
        token = token[7:].strip()
    is_valid = hmac.compare_digest(token.encode("latin-1", "replace"), _key(secret))
    return None if is_valid else f"the token in the header {header} is not the secret"


def _check_standard(_header: str, secret: str, request: SignedRequest, now: datetime) -> str | None:
    """Check the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of Standard Webhooks.

    Svix sends the same under names of its own. Source: https://www.standardwebhooks.com
    """
    headers = request.headers
    prefix = "svix" if headers.get("svix-signature") is not None else "webhook"
    value = headers.get(f"{prefix}-signature")
    if value is None:
        return "it has no header webhook-signature"
    message_id, time = headers.get(f"{prefix}-id", ""), headers.get(f"{prefix}-timestamp", "")
    content = f"{message_id}.{time}.".encode("latin-1", "replace") + request.body
    signatures = [part.partition(",")[2] for part in value.split() if part.startswith("v1,")]
    digests = [_hmac(key, content) for key in _standard_keys(secret)]
    is_valid = any(_matches(text, digest) for text in signatures for digest in digests)
    return _time_fault(time, now) if is_valid else _mismatch(f"{prefix}-signature")


def _check_stripe(header: str, secret: str, request: SignedRequest, now: datetime) -> str | None:
    """Check `t=…,v1=…`, as https://docs.stripe.com/webhooks/signature describes it."""
    value = request.headers.get(header)
    if value is None:
        return f"it has no header {header}"
    parts = [part.strip().partition("=") for part in value.split(",")]
    time = next((text for name, _, text in parts if name == "t"), "")
    digest = _hmac(_key(secret), time.encode("latin-1", "replace") + b"." + request.body)
    is_valid = any(_matches(text, digest) for name, _, text in parts if name == "v1")
    return _time_fault(time, now) if is_valid else _mismatch(header)


def _check_slack(header: str, secret: str, request: SignedRequest, now: datetime) -> str | None:
    """Check `v0=…`, as https://docs.slack.dev/authentication/verifying-requests-from-slack describes it."""
    value = request.headers.get(header)
    if value is None:
        return f"it has no header {header}"
    time = request.headers.get("X-Slack-Request-Timestamp", "")
    digest = _hmac(_key(secret), f"v0:{time}:".encode("latin-1", "replace") + request.body)
    return _time_fault(time, now) if _matches(value.strip().removeprefix("v0="), digest) else _mismatch(header)


_CHECKS: Mapping[WebhookSignature, Callable[[str, str, SignedRequest, datetime], str | None]] = {
    WebhookSignature.HMAC_SHA256: _check_hmac,
    WebhookSignature.TOKEN: _check_token,
    WebhookSignature.STANDARD_WEBHOOKS: _check_standard,
    WebhookSignature.STRIPE: _check_stripe,
    WebhookSignature.SLACK: _check_slack,
}


def _time_fault(text: str, now: datetime) -> str | None:
    """Return what is wrong with the time of a signature, in seconds since 1970."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        return _NO_TIME
    age = now.timestamp() - int(text)
    if abs(age) <= REPLAY_WINDOW.total_seconds():
        return None
    minutes = round(abs(age) / 60)
    return f"its signature is {minutes} minutes {'old' if age > 0 else 'ahead of the clock'}; at most 5 are allowed"


def _mismatch(header: str) -> str:
    return f"the signature in the header {header} does not match the body"


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)


def _matches(text: str, digest: bytes) -> bool:
    """Return whether the text is this digest, as hexadecimal digits or as base64."""
    try:
        value = bytes.fromhex(text) if len(text) == 2 * len(digest) else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(value, digest)


def _key(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogateescape")


def _standard_keys(secret: str) -> Iterator[bytes]:
    """Yield the keys that a secret of Standard Webhooks may mean: it is base64, usually after `whsec_`."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if key:  # anybody could sign with an empty key
        yield key
    yield _key(secret)
