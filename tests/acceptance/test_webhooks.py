"""A shop reports refunds to a webhook. It repeats what was not answered, and each refund is checked once."""

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until
from tests.receivers import free_port

pytestmark = pytest.mark.acceptance

SECRET = "a secret of the shop"
FLOW = "def check(order: str, amount: float):\n    return f'{order}: {amount}'\n"
DOCUMENT = """
name: refund-check
flow: flows/refund.py:check
on:
- webhook:
    name: shop
    secret: {env: SHOP_HOOK}
    parameters: {order: $.order, amount: $.amount}
"""


class Shop:
    """The sender."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/hooks/shop"

    def report(self, order: str, amount: object = 5, secret: str = SECRET) -> tuple[int, Any]:
        """Send the refund of an order, and return the status and the answer; 0 if nobody answers."""
        body = json.dumps({"order": order, "amount": amount}).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Signature": signature, "Idempotency-Key": order}
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url, body, headers), timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, None


def test_each_refund_is_checked_once_whatever_happens(repository: Repository, running: Start) -> None:
    repository.write("flows/refund.py", FLOW)
    repository.write("deployments/refund.yaml", DOCUMENT)
    repository.commit()
    port = free_port()
    shop = Shop(port)

    def start() -> Any:
        return running(repository, "--listen", f"127.0.0.1:{port}", SHOP_HOOK=SECRET)

    controller = start()
    until(lambda: repository.status()["deployments"], "the deployment to be active")
    first = shop.report("A-1")
    assert first[0] == 202
    assert repository.wait_for_end(first[1]["run_id"])["result"] == "A-1: 5.0"

    second = shop.report("A-2")
    controller.kill()  # the shop may not have received the answer, so it reports both again
    assert shop.report("A-2") == (0, None)
    controller = start()
    assert [shop.report("A-1"), shop.report("A-2")] == [first, second]
    assert repository.wait_for_end(second[1]["run_id"])["state"] == "succeeded"

    repository.tell("hold", "refund-check", "--reason", "the shop is moved")
    assert shop.report("A-3")[0] == 409
    repository.tell("resume", "refund-check")
    third = shop.report("A-3")
    assert third[0] == 202
    assert shop.report("A-4", "many")[1]["errors"][0]["path"] == ["amount"]
    assert shop.report("A-4", secret="wrong")[0] == 401

    runs = repository.runs("refund-check")
    assert [run["trigger"] for run in runs] == ["webhook"] * 3
    assert {run["parameters"]["order"] for run in runs} == {"A-1", "A-2", "A-3"}
    reasons = [event["message"] for event in repository.tell("events") if event["reason"] == "WebhookRefused"]
    assert reasons == ["A request to /hooks/shop was refused: the deployment is on hold."]  # at most one a minute
    assert SECRET not in controller.output
