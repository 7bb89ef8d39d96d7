"""Signatures are checked as the senders document it. The vectors are those of their documentation and libraries."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from starlette.datastructures import Headers

from controller.model.triggers import WebhookSignature
from controller.triggers.signatures import SignedRequest, find_fault, find_git_fault

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_HMAC = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""From https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries, as is the secret."""
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""From the tests of https://github.com/standard-webhooks/standard-webhooks, as is the secret."""
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_TIME = datetime.fromtimestamp(1614265330, UTC)
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK = {
    "X-Slack-Request-Timestamp": "1531420618",
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
"""From https://docs.slack.dev/authentication/verifying-requests-from-slack, as are the secret and the body."""
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_TIME = datetime.fromtimestamp(1531420618, UTC)


def request(headers: dict[str, str], body: bytes = b"Hello, World!") -> SignedRequest:
    return SignedRequest(headers=Headers(headers), body=body)


def hex_hmac(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "value",
    [f"sha256={GITHUB_HMAC}", GITHUB_HMAC, GITHUB_HMAC.upper(), base64.b64encode(bytes.fromhex(GITHUB_HMAC)).decode()],
)
def test_an_hmac_is_accepted_with_and_without_prefix_and_as_base64(value: str) -> None:
    signed = request({"x-hub-signature-256": value})
    fault = find_fault(WebhookSignature.HMAC_SHA256, "X-Hub-Signature-256", GITHUB_SECRET, signed, NOW)
    assert fault is None


@pytest.mark.parametrize(
    "value",
    ["", "sha256=", "sha256=é", f"sha1={GITHUB_HMAC}", GITHUB_HMAC[:-1], "0" * 64, "A" * 44, "sha256=" + "g" * 64],
)
def test_another_hmac_is_refused(value: str) -> None:
    signed = request({"X-Signature": value})
    fault = find_fault(WebhookSignature.HMAC_SHA256, "X-Signature", GITHUB_SECRET, signed, NOW)
    assert fault == "the signature in the header X-Signature does not match the body"


def test_a_request_without_the_header_is_refused() -> None:
    signatures = dict.fromkeys(WebhookSignature, "X-Signature") | {WebhookSignature.STANDARD_WEBHOOKS: ""}
    for signature, header in signatures.items():
        fault = find_fault(signature, header, "secret", request({}), NOW)
        assert fault == f"it has no header {header or 'webhook-signature'}"


@pytest.mark.parametrize(
    ("header", "value", "is_valid"),
    [
        ("X-Token", "s3cret", True),
        ("X-Token", " s3cret ", True),
        ("X-Token", "Bearer s3cret", False),
        ("Authorization", "Bearer s3cret", True),
        ("Authorization", "bearer  s3cret", True),
        ("Authorization", "s3cret", True),
        ("X-Token", "s3cre", False),
        ("X-Token", "s3cretX", False),
        ("X-Token", "", False),
        ("X-Token", "é", False),
    ],
)
def test_a_token_must_be_the_secret(header: str, value: str, is_valid: bool) -> None:
    fault = find_fault(WebhookSignature.TOKEN, header, "s3cret", request({header: value}), NOW)
    assert fault == (None if is_valid else f"the token in the header {header} is not the secret")


def test_standard_webhooks_are_accepted_within_five_minutes() -> None:
    def fault(time: datetime, body: bytes = STANDARD_BODY, secret: str = STANDARD_SECRET, **more: str) -> str | None:
        headers = {**STANDARD, **{name.replace("_", "-"): value for name, value in more.items()}}
        return find_fault(WebhookSignature.STANDARD_WEBHOOKS, "", secret, request(headers, body), time)

    window = timedelta(minutes=5)
    assert fault(STANDARD_TIME) is None
    assert fault(STANDARD_TIME + window) is None
    assert fault(STANDARD_TIME - window) is None
    assert fault(STANDARD_TIME, secret=STANDARD_SECRET.removeprefix("whsec_")) is None
    rotated = f"v1,{'A' * 43}= v1a,xyz {STANDARD['webhook-signature']}"
    assert fault(STANDARD_TIME, webhook_signature=rotated) is None
    assert fault(STANDARD_TIME + timedelta(minutes=7)) == "its signature is 7 minutes old; at most 5 are allowed"
    early = fault(STANDARD_TIME - timedelta(minutes=7))
    assert early == "its signature is 7 minutes ahead of the clock; at most 5 are allowed"
    mismatch = "the signature in the header webhook-signature does not match the body"
    assert fault(STANDARD_TIME, body=b"{}") == mismatch
    assert fault(STANDARD_TIME, webhook_id="msg_other") == mismatch
    assert fault(STANDARD_TIME, webhook_timestamp="1614265331") == mismatch
    assert fault(STANDARD_TIME, webhook_signature="") == mismatch


def test_the_headers_of_svix_are_standard_webhooks() -> None:
    headers = {name.replace("webhook", "svix"): value for name, value in STANDARD.items()}
    signed = request(headers, STANDARD_BODY)
    assert find_fault(WebhookSignature.STANDARD_WEBHOOKS, "", STANDARD_SECRET, signed, STANDARD_TIME) is None


def test_an_empty_key_of_standard_webhooks_signs_nothing() -> None:
    content = b".1614265330.{}"
    digest = base64.b64encode(hmac.digest(b"", content, "sha256")).decode()
    signed = request({"webhook-timestamp": "1614265330", "webhook-signature": f"v1,{digest}"}, b"{}")
    assert find_fault(WebhookSignature.STANDARD_WEBHOOKS, "", "whsec_", signed, STANDARD_TIME) is not None


@pytest.mark.parametrize("time", ["", "now", "-5", "1e9", "²", "9" * 13])
def test_a_signed_time_that_is_no_time_is_refused(time: str) -> None:
    content = f"{time}.".encode("latin-1") + b"{}"
    value = f"t={time},v1={hex_hmac('key', content)}"
    fault = find_fault(
        WebhookSignature.STRIPE, "Stripe-Signature", "key", request({"Stripe-Signature": value}, b"{}"), NOW
    )
    assert fault == "the signature has no valid time"


def test_stripes_signature_covers_its_time() -> None:
    time = int(NOW.timestamp())
    digest = hex_hmac("whsec_key", f"{time}.{{}}".encode())

    def fault(value: str) -> str | None:
        signed = request({"Stripe-Signature": value}, b"{}")
        return find_fault(WebhookSignature.STRIPE, "Stripe-Signature", "whsec_key", signed, NOW)

    assert fault(f"t={time},v1={digest}") is None
    assert fault(f"t={time}, v0=abc, v1={'0' * 64}, v1={digest}") is None
    for value in (f"t={time + 1},v1={digest}", f"t={time},v0={digest}", f"v1={digest}", f"t={time}", ",=,", ""):
        assert fault(value) == "the signature in the header Stripe-Signature does not match the body", value
    old = time - 600
    assert fault(f"t={old},v1={hex_hmac('whsec_key', f'{old}.{{}}'.encode())}") is not None


def test_slacks_example_is_accepted() -> None:
    def fault(body: bytes, time: datetime) -> str | None:
        return find_fault(WebhookSignature.SLACK, "X-Slack-Signature", SLACK_SECRET, request(SLACK, body), time)

    assert fault(SLACK_BODY, SLACK_TIME) is None
    assert fault(SLACK_BODY + b"x", SLACK_TIME) is not None
    assert fault(SLACK_BODY, SLACK_TIME + timedelta(minutes=6)) is not None


HMAC = hex_hmac("s3cret", b"{}")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": f"sha256={HMAC}", "X-Hub-Signature": "sha1=0123"},
        {"X-Gitea-Signature": HMAC, "X-Hub-Signature-256": f"sha256={HMAC}", "X-Hub-Signature": "sha1=0123"},
        {"X-Forgejo-Signature": HMAC},
        {"X-Gogs-Signature": HMAC},
        {"X-Hub-Signature": f"sha256={HMAC}"},
        {"X-Gitlab-Token": "s3cret"},
        {"X-Signature": HMAC},
    ],
    ids=["GitHub", "Gitea", "Forgejo", "Gogs", "Bitbucket", "GitLab", "generic"],
)
def test_the_signature_of_each_git_server_is_accepted(headers: dict[str, str]) -> None:
    assert find_git_fault("s3cret", request(headers, b"{}"), NOW) is None
    assert find_git_fault("another", request(headers, b"{}"), NOW) is not None


def test_the_signing_token_of_gitlab_is_accepted() -> None:
    assert find_git_fault(STANDARD_SECRET, request(STANDARD, STANDARD_BODY), STANDARD_TIME) is None
    old = find_git_fault(STANDARD_SECRET, request(STANDARD, STANDARD_BODY), NOW)
    assert old is not None
    assert old.endswith("at most 5 are allowed")


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Hub-Signature": "sha1=0123"}, {"Authorization": "Bearer s3cret"}, {"X-Token": "s3cret"}],
)
def test_a_git_server_without_a_supported_signature_is_refused(headers: dict[str, str]) -> None:
    fault = find_git_fault("s3cret", request(headers, b"{}"), NOW)
    assert fault == "it has no signature in a header that controller knows"
