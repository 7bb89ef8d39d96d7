"""Webhooks under `on`: their defaults, and the findings for values that are wrong."""

from typing import Any

import pytest

from controller.manifests.json_paths import JsonPathError, check_query, find_value
from controller.model.triggers import WebhookSignature
from tests.unit.manifests.conftest import Read

CAT = "command: [cat]\n"


def declared(name: str, more: str = "", deployment: str = "a") -> str:
    return f"name: {deployment}\n{CAT}on: {{webhook: {{name: {name}, secret: {{env: HOOK}}{more}}}}}\n"


@pytest.mark.parametrize(
    ("signature", "header"),
    [
        ("hmac-sha256", "X-Signature"),
        ("token", "Authorization"),
        ("standard-webhooks", "webhook-signature"),
        ("stripe", "Stripe-Signature"),
        ("slack", "X-Slack-Signature"),
    ],
)
def test_each_signature_has_the_header_of_its_senders(read: Read, signature: str, header: str) -> None:
    [webhook] = read(declared("shop", f", signature: {signature}")).deployments["a"].webhooks
    assert (webhook.signature, webhook.header) == (WebhookSignature(signature), header)


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        (declared("git"), "ReservedWebhook", "$.on.webhook.name"),
        (declared("Shop"), "InvalidValue", "$.on.webhook.name"),
        (declared("shop", ", signature: md5"), "InvalidValue", "$.on.webhook.signature"),
        (declared("shop", ", signature: standard-webhooks, header: X-A"), "InvalidValue", "$.on.webhook.header"),
        (declared("shop", ", parameters: {a: a.b}"), "InvalidJsonPath", "$.on.webhook.parameters.a"),
        (declared("shop", ", parameters: {a: $..}"), "InvalidJsonPath", "$.on.webhook.parameters.a"),
        (declared("shop", ', parameters: {a: "$.a | $.b"}'), "InvalidJsonPath", "$.on.webhook.parameters.a"),
        (f"name: a\n{CAT}on: {{webhook: {{name: shop}}}}\n", "MissingKey", "$.on.webhook"),
    ],
)
def test_an_invalid_webhook_is_a_finding(read: Read, text: str, code: str, path: str) -> None:
    state = read(text)
    assert [(finding.code, finding.path) for finding in state.findings] == [(code, path)]
    assert state.deployments == {}


def test_webhooks_of_one_name_are_findings_at_both_places(read: Read) -> None:
    state = read(
        declared("shop") + "---\n" + declared("shop", deployment="b") + "---\n" + declared("c", deployment="c")
    )
    found = [(finding.code, finding.line, finding.deployment, finding.message) for finding in state.findings]
    [file] = {finding.file for finding in state.findings}
    assert found == [
        ("DuplicateWebhook", 3, "a", f"the webhook shop is also declared at {file}:7"),
        ("DuplicateWebhook", 7, "b", f"the webhook shop is also declared at {file}:3"),
    ]
    assert list(state.deployments) == ["c"]


def test_a_deployment_that_is_not_enabled_has_no_webhook(read: Read) -> None:
    state = read(declared("shop") + "---\n" + declared("shop", deployment="b") + "enabled: false\n")
    assert (state.findings, list(state.deployments)) == ((), ["a"])


def test_one_deployment_can_not_declare_a_webhook_twice(read: Read) -> None:
    one = "{webhook: {name: shop, secret: {env: HOOK}}}"
    state = read(f"name: a\n{CAT}on: [{one}, {one}]\n")
    assert [finding.code for finding in state.findings] == ["DuplicateWebhook", "DuplicateWebhook"]


BODY = {"type": "x", "null": None, "items": [{"id": 1}, {"id": 2}], "a b": True, "text": '{"type": "y"}'}


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("$", BODY),
        ("$.type", "x"),
        ("$['a b']", True),
        ("$.null", None),
        ("$.items[1].id", 2),
        ("$.items[-1].id", 2),
        ("$.items[*].id", [1, 2]),
        ("$..id", [1, 2]),
        ("$.items[?@.id > 1]", [{"id": 2}]),
        ("$.missing[*]", []),
        ("$.text[*]", []),
    ],
)
def test_a_query_selects_a_value_or_a_list_of_values(query: str, value: object) -> None:
    assert find_value(query, BODY) == value


@pytest.mark.parametrize(("query", "body"), [("$.missing", BODY), ("$.text.type", BODY), ("$.type", '{"type": 1}')])
def test_a_query_of_one_value_that_is_missing_is_an_error(query: str, body: object) -> None:
    with pytest.raises(JsonPathError, match=f"^there is no {query.replace('$', '.')} in the body$"):
        find_value(query, body)


def test_a_body_that_is_nested_too_deeply_for_a_query_is_an_error() -> None:
    body: Any = None
    for _ in range(5000):
        body = [body]
    with pytest.raises(JsonPathError, match="nested too deeply"):
        find_value("$..id", body)


def test_the_whole_body_may_be_any_value() -> None:
    bodies: list[Any] = ["text", 1, None, [], {}]
    assert [find_value("$", body) for body in bodies] == bodies


@pytest.mark.parametrize("query", ["", "a", "$.", "$[", "$ | $", "^a", "$.a.keys()", "$[?nope(@)]", "$" + "[?@" * 500])
def test_other_queries_than_those_of_the_rfc_are_invalid(query: str) -> None:
    with pytest.raises(JsonPathError):
        check_query(query)


def test_another_header_than_that_of_the_sender_gives_a_warning(read: Read) -> None:
    state = read(declared("shop", ", signature: stripe, header: Foo"))
    [finding] = state.findings
    assert (finding.code, finding.severity, finding.path) == ("UnusualHeader", "warning", "$.on.webhook.header")
    assert finding.message == "Stripe sends its signature in Stripe-Signature, not in Foo"
    assert state.deployments["a"].webhooks[0].header == "Foo"
    assert read(declared("shop", ", signature: stripe, header: stripe-signature")).findings == ()
