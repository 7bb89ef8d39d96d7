"""Requests to webhooks start runs once, with parameters from the body; refused ones leave a counter and an event."""

import hashlib
import hmac
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from controller.errors import ConflictError, NotFoundError, UsageError
from controller.model.runs import Run, Trigger
from controller.operations.holds import hold_deployment, resume_deployment
from controller.operations.parameter_check import ParametersError
from controller.store import events, runs, webhooks
from controller.triggers.signatures import SignedRequest
from controller.triggers.webhook_guard import BURST, WebhookResult
from controller.triggers.webhooks import (
    TooManyRequestsError,
    UnauthorizedError,
    Webhooks,
    WebhookUnavailableError,
)
from tests.unit.runs.conftest import World

SECRET = "s3cret"
FLOW = "def main(event: str, amount: int = 1, items: list | None = None):\n    pass\n"
REFUND = """
name: refund
flow: flows/refund.py:main
on:
- webhook:
    name: stripe
    secret: {env: HOOK}
    parameters: {event: $.type, amount: $.data.amount}
"""
PING = """
name: ping
flow: flows/ping.py:main
on: {webhook: {name: ping, secret: {env: HOOK}, signature: token}}
"""
BODY = b'{"type": "refund", "data": {"amount": 5}}'


@pytest.fixture
def hooks(world: World) -> Webhooks:
    world.write("flows/refund.py", FLOW)
    world.write("flows/ping.py", "def main():\n    pass\n")
    world.declare(refund=REFUND, ping=PING)
    return Webhooks(world.operations, None, {"HOOK": SECRET})


def request(
    body: bytes = BODY, secret: str = SECRET, delivery: str = "", header: str = "Idempotency-Key"
) -> SignedRequest:
    """Return a signed request, with the id of a delivery in this header."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return SignedRequest(headers=Headers({"X-Signature": digest, header: delivery}), body=body)


def find(world: World, run_id: str) -> Run:
    with world.store.read() as tx:
        run = runs.find(tx, run_id)
    assert run is not None
    return run


def count_runs(world: World) -> int:
    with world.store.read() as tx:
        return sum(runs.counts(tx).values())


def refusals(world: World) -> list[str]:
    with world.store.read() as tx:
        return [event.message for event in events.latest(tx, 100) if event.reason == "WebhookRefused"]


def results(hooks: Webhooks) -> dict[str, int]:
    return {f"{name} {result.value}": count for (name, result), count in hooks.guard.counts.items()}


def test_a_request_starts_a_run_with_values_of_its_body(world: World, hooks: Webhooks) -> None:
    run = find(world, hooks.start_run("stripe", request()))
    assert (run.deployment, run.trigger) == ("refund", Trigger.WEBHOOK)
    assert run.parameters == {"event": "refund", "amount": 5}
    assert results(hooks) == {"stripe accepted": 1}
    assert refusals(world) == []


def test_a_webhook_without_parameters_does_not_read_the_body(world: World, hooks: Webhooks) -> None:
    body = b"\xff not JSON"
    run = find(world, hooks.start_run("ping", SignedRequest(headers=Headers({"Authorization": SECRET}), body=body)))
    assert run.parameters == {}


@pytest.mark.parametrize("header", ["X-GitHub-Delivery", "Idempotency-Key", "webhook-id", "X-Gitlab-Event-UUID"])
def test_a_repeated_delivery_gets_the_same_run_for_three_days(world: World, hooks: Webhooks, header: str) -> None:
    first = hooks.start_run("stripe", request(delivery="a", header=header))
    world.clock.turn(timedelta(days=2))
    assert hooks.start_run("stripe", request(delivery="a", header=header)) == first
    assert hooks.start_run("stripe", request(delivery="b", header=header)) != first
    world.clock.turn(timedelta(days=2))
    assert hooks.start_run("stripe", request(delivery="a", header=header)) != first
    assert results(hooks) == {"stripe accepted": 3, "stripe repeated": 1}


def test_a_repeated_delivery_gets_the_same_run_although_its_parameters_no_longer_fit(
    world: World, hooks: Webhooks
) -> None:
    first = hooks.start_run("stripe", request(delivery="a"))
    world.declare(refund=REFUND.replace("$.type", "$.kind"))
    assert hooks.start_run("stripe", request(delivery="a")) == first
    with pytest.raises(ParametersError, match=r"there is no \$\.kind in the body"):
        hooks.start_run("stripe", request(delivery="b"))


def test_the_same_body_without_an_id_is_the_same_delivery_for_five_minutes(world: World, hooks: Webhooks) -> None:
    first = hooks.start_run("stripe", request())
    world.clock.turn(timedelta(minutes=4))
    assert hooks.start_run("stripe", request()) == first
    assert hooks.start_run("stripe", request(b'{"type": "x", "data": {"amount": 1}}')) != first
    world.clock.turn(timedelta(minutes=2))
    assert hooks.start_run("stripe", request()) != first


def test_deliveries_of_two_webhooks_do_not_collide(hooks: Webhooks) -> None:
    first = hooks.start_run("stripe", request(delivery="a"))
    ping = SignedRequest(headers=Headers({"Authorization": f"Bearer {SECRET}", "Idempotency-Key": "a"}), body=b"")
    assert hooks.start_run("ping", ping) != first


def test_an_odd_delivery_id_is_an_id_too(hooks: Webhooks) -> None:
    odd = [hooks.start_run("stripe", request(delivery=value)) for value in ("é", "x" * 5000, "é", "x" * 5000)]
    assert odd[:2] == odd[2:]
    assert odd[0] != odd[1]


def test_the_deliveries_of_a_webhook_are_deleted_after_three_days(world: World, hooks: Webhooks) -> None:
    for name in "abc":
        hooks.start_run("stripe", request(delivery=name))
    since = world.clock.now() - timedelta(days=10)
    with world.store.write() as tx:
        webhooks.delete_deliveries(tx, world.clock.now(), 10)
        assert webhooks.find_delivery(tx, "stripe", "id:a", since) is not None
        webhooks.delete_deliveries(tx, world.clock.now() + timedelta(seconds=1), 2)
        assert [webhooks.find_delivery(tx, "stripe", f"id:{name}", since) is not None for name in "abc"].count(
            True
        ) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not JSON."),
        (b"{", "The body is not JSON."),
        (b"\xff", "The body is not JSON."),
        (b'{"type": NaN}', "The body is not JSON."),
        (b"[" * 100_000, "The body is not JSON."),
        (b"9" * 5000, "The body is not JSON."),
        (b'"{\\"type\\": \\"x\\"}"', "event: there is no $.type in the body"),
        (b"[]", "event: there is no $.type in the body; amount: there is no $.data.amount in the body."),
        (b'{"type": 1, "data": {"amount": "x"}}', "amount"),
        (b'{"type": "x", "data": {"amount": 1e999}}', "NaN and Infinity are not allowed"),
        (b'{"type": {"from": "env.TOKEN"}, "data": {"amount": 1}}', "event: a request can't refer to other values"),
        (b'{"type": [{"from": "due_time"}], "data": {"amount": 1}}', "event[0]: a request can't refer"),
        (b'{"type": {"x": {"from": "ping.result.y"}}, "data": {"amount": 1}}', "event.x: a request can't refer"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_body_that_does_not_fit_starts_no_run(hooks: Webhooks, world: World, body: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        hooks.start_run("stripe", request(body))
    assert message in caught.value.message
    assert results(hooks) == {"stripe invalid": 1}
    assert len(refusals(world)) == 1
    assert count_runs(world) == 0


def test_the_event_about_a_refused_body_names_parameters_but_no_values(hooks: Webhooks, world: World) -> None:
    with pytest.raises(ParametersError):
        hooks.start_run("stripe", request(b'{"type": "x", "data": {"amount": "card 4242"}}'))
    assert refusals(world) == ["A request to /hooks/stripe was refused: these parameters do not fit: amount."]


def test_a_request_without_a_valid_signature_starts_nothing(hooks: Webhooks, world: World) -> None:
    for signed in (request(secret="x"), SignedRequest(headers=Headers(), body=BODY)):
        with pytest.raises(UnauthorizedError):
            hooks.start_run("stripe", signed)
    cause = "the signature in the header X-Signature does not match the body"
    assert refusals(world) == [f"A request to /hooks/stripe was refused: {cause}."]
    assert results(hooks) == {"stripe unauthorized": 2}
    assert count_runs(world) == 0


def test_an_undeclared_webhook_is_reported_without_its_own_counter(hooks: Webhooks, world: World) -> None:
    for name in ("shop", "x" * 10_000, "git"):
        with pytest.raises(NotFoundError):
            hooks.start_run(name, request())
    assert results(hooks) == {" unknown": 3}
    assert refusals(world) == ["A request to a webhook was refused: no deployment declares the webhook shop."]


def test_a_missing_secret_is_not_reported_as_a_wrong_signature(hooks: Webhooks, world: World, tmp_path: Path) -> None:
    silent = Webhooks(world.operations, None, {})
    with pytest.raises(WebhookUnavailableError):
        silent.start_run("stripe", request())
    [message] = refusals(world)
    cause = "the environment variable HOOK is not set"
    assert message.startswith(f"A request to /hooks/stripe was refused: {cause}. Set HOOK in the controller's")
    file = tmp_path / "secret"
    world.declare(refund=REFUND.replace("env: HOOK", f"file: {file}"))
    file.write_text(f"{SECRET}\n")  # the secret is read with each request
    assert hooks.start_run("stripe", request())
    file.write_text("new")
    with pytest.raises(UnauthorizedError):
        hooks.start_run("stripe", request())


def test_a_suspended_or_held_deployment_starts_nothing_until_it_is_resumed(hooks: Webhooks, world: World) -> None:
    hold_deployment(world.operations, "refund", "maintenance", None, author="me")
    with world.store.read() as tx:
        assert events.latest(tx, 1)[0].message == "me held the webhooks: maintenance"
    with pytest.raises(ConflictError, match="on hold"):
        hooks.start_run("stripe", request(delivery="a"))
    resume_deployment(world.operations, "refund", author="me")
    world.declare(refund=REFUND + "suspend: true\n")
    with pytest.raises(ConflictError, match="suspended"):
        hooks.start_run("stripe", request(delivery="a"))
    world.declare(refund=REFUND)
    assert hooks.start_run("stripe", request(delivery="a"))
    assert results(hooks) == {"stripe conflict": 2, "stripe accepted": 1}


def test_an_event_counts_the_refusals_before_it_by_their_result(hooks: Webhooks, world: World) -> None:
    bad = [request(secret="x"), request(secret="x"), request(body=b"[", delivery="a"), request(body=b"[", delivery="b")]
    for signed in bad:
        with pytest.raises((UnauthorizedError, UsageError)):
            hooks.start_run("stripe", signed)
    world.clock.turn(timedelta(minutes=1))
    world.declare(refund=REFUND + "suspend: true\n")
    with pytest.raises(ConflictError):
        hooks.start_run("stripe", request())
    assert refusals(world)[0] == (
        "A request to /hooks/stripe was refused: the deployment is suspended. "
        "Since the previous event, 3 more requests were refused: 2 invalid, 1 unauthorized."
    )


def test_too_many_requests_wait(hooks: Webhooks, world: World) -> None:
    for number in range(BURST):
        hooks.start_run("stripe", request(delivery=str(number)))
    with pytest.raises(TooManyRequestsError) as caught:
        hooks.start_run("stripe", request(delivery="more"))
    assert caught.value.seconds == 1
    world.clock.turn(timedelta(seconds=1))
    assert hooks.start_run("stripe", request(delivery="more"))


def test_too_many_requests_without_a_valid_signature_are_counted_by_their_answer(hooks: Webhooks) -> None:
    answers = []
    for _ in range(23):
        with pytest.raises((UnauthorizedError, TooManyRequestsError)) as caught:
            hooks.start_run("stripe", request(secret="x"))
        answers.append(caught.type)
    assert answers == [UnauthorizedError] * 20 + [TooManyRequestsError] * 3
    assert results(hooks) == {"stripe unauthorized": 20, "stripe limited": 3}


def test_webhooks_follow_the_active_documents(hooks: Webhooks, world: World) -> None:
    world.declare(refund=REFUND.replace("name: stripe", "name: shop"))
    with pytest.raises(NotFoundError):
        hooks.start_run("stripe", request())
    assert hooks.start_run("shop", request())
    world.declare(refund=REFUND.replace("name: refund", "name: money\nrenamed_from: refund"))
    assert find(world, hooks.start_run("stripe", request())).deployment == "money"
    (world.root / "deployments" / "refund.yaml").unlink()
    world.declare()
    with pytest.raises(NotFoundError):
        hooks.start_run("stripe", request())


def test_two_active_deployments_with_one_webhook_start_nothing(hooks: Webhooks, world: World) -> None:
    with world.store.write() as tx:  # as after a commit that moves it, while the old document is invalid
        webhooks.insert_declared(tx, {"ping": ["stripe"]})
    with pytest.raises(ConflictError):
        hooks.start_run("stripe", request())
    cause = "the deployments ping and refund declare this webhook"
    assert refusals(world) == [f"A request to /hooks/stripe was refused: {cause}."]


def test_a_list_of_values_is_a_parameter(world: World, hooks: Webhooks) -> None:
    world.declare(refund=REFUND.replace("amount: $.data.amount", "items: '$.items[*].id'"))

    def items(body: bytes) -> Any:
        return find(world, hooks.start_run("stripe", request(body))).parameters["items"]

    assert items(b'{"type": "x", "items": [{"id": 1}, {"id": 2}, {}]}') == [1, 2]
    assert items(b'{"type": "x"}') == []


def test_the_results_are_those_of_the_page() -> None:
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    assert [result for result in WebhookResult if f"| `{result}` |" not in text] == []
