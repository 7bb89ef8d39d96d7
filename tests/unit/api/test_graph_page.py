"""The graph in the API and on the dashboard, and the links on the page of a deployment."""

import re

import pytest

from controller.api.dashboard.static_files import static_folder
from tests.unit.api.conftest import Served

INGEST = """
name: ingest
command: [a]
schedule: {cron: "0 0 29 2 *"}
"""
DEPLOYMENTS = """
name: report
command: [a]
after: [ingest, {deployment: audit, on: finished}]
schedule: {cron: "0 1 29 2 *"}
---
name: audit
command: [a]
after: ingest
suspend: true
---
name: alert
command: [a]
after: {deployments: [{deployment: report, on: failed}], any: true}
---
name: refund
command: [a]
on:
  - webhook: {name: stripe, secret: {env: STRIPE}}
"""


@pytest.fixture(scope="module")
def ordered(served: Served) -> Served:
    """A controller with deployments that wait for each other."""
    assert "No deployment starts another one yet." in served.get("/graph", Accept="text/html").text
    served.commit({"deployments/ingest.yaml": INGEST, "deployments/order.yaml": DEPLOYMENTS})
    return served


def test_the_api_returns_nodes_and_edges(ordered: Served) -> None:
    view = ordered.get("/api/v1/graph").json()
    nodes = {node["name"]: node for node in view["nodes"]}
    assert {name: node["kind"] for name, node in nodes.items() if node["kind"] != "deployment"} == {
        "/hooks/stripe": "webhook"
    }
    assert (nodes["audit"]["state"], nodes["ingest"]["state"]) == ("suspended", "ok")
    assert {"from": "audit", "to": "report", "kind": "gate", "on": "finished", "any": False} in view["edges"]
    assert {"from": "report", "to": "alert", "kind": "event", "on": "failed", "any": True} in view["edges"]
    assert view["independent"] == 4


def test_fire_times_have_what_the_due_times_wait_for(ordered: Served) -> None:
    waits = ordered.get("/api/v1/deployments/report/fire-times").json()["waits"]
    assert [(one["deployment"], one["on"]) for one in waits["upstreams"]] == [
        ("ingest", "succeeded"),
        ("audit", "finished"),
    ]
    assert ordered.get("/api/v1/deployments/alert/fire-times").json() == {"fire_times": [], "waits": None}


def test_the_part_around_a_deployment_and_an_unknown_name(ordered: Served) -> None:
    part = ordered.get("/api/v1/graph?deployment=audit").json()
    assert [node["name"] for node in part["nodes"]] == ["alert", "audit", "ingest", "report"]
    answer = ordered.get("/api/v1/graph?deployment=audti")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_page_draws_the_graph_and_lists_it_as_text(ordered: Served) -> None:
    page = ordered.get("/graph", Accept="text/html").text
    assert len(re.findall(r"<foreignObject ", page)) == 6
    assert len(re.findall(r'<path class="edge [a-z ]+" d="M[^"]+" marker-end', page)) == 5
    assert "<title>report waits until ingest has succeeded</title>" in page
    assert re.search(r'<a href="/deployments/report".*</a> <span class="muted">starts</span>', page)
    assert "4 other deployments have no dependencies." in page
    assert "style=" not in page
    around = ordered.get("/graph?deployment=refund", Accept="text/html").text
    assert "1 deployment around refund" in around
    assert len(re.findall(r"<foreignObject ", around)) == 2
    assert "add has no dependencies." in ordered.get("/graph?deployment=add", Accept="text/html").text


def test_the_page_of_a_deployment_links_its_upstreams_and_dependants(ordered: Served) -> None:
    view = ordered.get("/api/v1/deployments/report").json()
    assert view["dependants"] == ["alert"]
    assert view["after"] == {
        "upstreams": [
            {"deployment": "ingest", "on": "succeeded", "on_redo": "ignore"},
            {"deployment": "audit", "on": "finished", "on_redo": "ignore"},
        ],
        "any": False,
    }
    page = ordered.get("/deployments/report", Accept="text/html").text
    dependencies = page.partition('<p class="dependencies">')[2].partition("</p>")[0]
    assert re.findall(r'href="([^"]+)"', dependencies) == [
        "/deployments/ingest",
        "/deployments/audit",
        "/deployments/alert",
        "/graph?deployment=report",
        f"{static_folder()}/icons.svg#graph",
    ]
    assert 'class="dependencies"' not in ordered.get("/deployments/add", Accept="text/html").text


def test_the_list_of_deployments_says_what_starts_them(ordered: Served) -> None:
    page = ordered.get("/deployments", Accept="text/html").text
    rows = {
        name: re.search(rf'href="/deployments/{name}".*?</tr>', page, re.DOTALL) for name in ("alert", "refund", "add")
    }
    texts = {name: row[0] for name, row in rows.items() if row}
    assert "starts after other deployments" in texts["alert"]
    assert "starts for requests to a webhook" in texts["refund"]
    assert "no schedule" in texts["add"]


def test_a_deployment_whose_upstream_is_deleted_says_so(ordered: Served) -> None:
    ordered.repository.git("rm", "--quiet", "deployments/ingest.yaml")
    ordered.commit({})
    try:
        nodes = {node["name"]: node["kind"] for node in ordered.get("/api/v1/graph").json()["nodes"]}
        assert nodes["ingest"] == "missing"
        assert "not active" in ordered.get("/graph", Accept="text/html").text
        page = ordered.get("/deployments/report", Accept="text/html").text
        assert page.count("Waits for ingest, which is not active.") == 1
        assert page.count("there is no deployment named ingest") == 1
        heading = page.partition('id="heading"')[2].partition('class="tabs"')[0]
        assert heading.count('class="note ') == 1
        problems = ordered.get("/api/v1/attention").json()["items"]
        assert [(item["deployment"], item["code"]) for item in problems] == [
            ("audit", "no_upstream"),
            ("report", "no_upstream"),
        ]
    finally:
        ordered.commit({"deployments/ingest.yaml": INGEST})
