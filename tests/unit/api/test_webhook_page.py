"""docs/triggers.md: its webhook is declared, signed with openssl, and requested with curl, as the page says."""

import json
import subprocess
from collections.abc import Iterator

import pytest
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.conftest import new_repository
from tests.docs.pages import DOCS, code_blocks, sections
from tests.unit.api.conftest import Served, serve
from tests.unit.api.openapi import schema

pytestmark = pytest.mark.integration

SECRET = "a secret of the shop"
FLOW = """
def main(order: str, amount: float) -> str:
    return f"{order}: {amount}"
"""
[SECTION] = [section.text for section in sections(DOCS / "triggers.md", 2) if section.title == "Webhooks"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A controller with the deployment of the page."""
    top = tmp_path_factory.mktemp("webhook-page")
    (top / "secret").write_text(f"{SECRET}\n")
    [document] = code_blocks(SECTION, "yaml")
    assert "{env: SHOP_HOOK}" in document
    document = document.replace("{env: SHOP_HOOK}", f"{{file: {top / 'secret'}}}")
    repository = new_repository(top / "repo")
    repository.commit({"flows/refund.py": FLOW, "deployments/refund.yaml": document})
    served = serve(repository, top / "state")
    yield served
    served.controller.stop()


def request(served: Served, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", script],
        env={"URL": served.url, "SHOP_HOOK": SECRET, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_documented_request_starts_one_run(shop: Served) -> None:
    [script] = code_blocks(SECTION, "sh")
    answer = json.loads(request(shop, script))
    run = shop.wait_for(answer["run_id"])
    assert (run["state"], run["trigger"], run["result"]) == ("succeeded", "webhook", "A-1042: 12.5")
    assert run["author"] == "webhook shop"
    assert json.loads(request(shop, script)) == answer
    other = script.replace('"amount": 12.5', '"amount": "many"').replace("order-1042-refund", "x")
    refused = json.loads(request(shop, other))
    assert (refused["status"], [error["path"] for error in refused["errors"]]) == (422, [["amount"]])
    assert len(shop.get("/api/v1/runs?deployment=refund").json()["items"]) == 1


def test_the_webhook_is_shown_with_its_deployment(shop: Served) -> None:
    [webhook] = shop.get("/api/v1/deployments/refund").json()["webhooks"]
    assert webhook == {
        "name": "shop",
        "path": "/hooks/shop",
        "signature": "hmac-sha256",
        "header": "X-Signature",
        "parameters": {"order": "$.data.order_id", "amount": "$.data.amount"},
    }
    page = shop.get("/deployments/refund?tab=schedule", Cookie=shop.log_in()).text
    assert "POST /hooks/shop" in page
    assert "$.data.order_id" in page


def test_the_answers_match_the_openapi_document(shop: Served) -> None:
    operation = schema()["/hooks/{name}"]["POST"]
    for name, status in (("shop", 401), ("none", 404), ("x" * 300, 404), ("%00", 404)):
        case = operation.Case(path_parameters={"name": name})
        answer = case.call(base_url=shop.url, timeout=60)
        assert answer.status_code == status
        case.validate_response(answer, checks=[response_schema_conformance, content_type_conformance])
