"""Deployments of a matrix in the API and in the dashboard: grouped by their document, each with its own runs."""

from tests.unit.api.conftest import Served

LOADS = """\
name: load-{region}
command: [printenv, REGION]
env: {REGION: {from: matrix.region}}
matrix: {region: [eu, us]}
"""
PLACE = "deployments/loads.yaml:1"


def test_the_deployments_of_a_document_are_listed_run_and_restored_by_themselves(fresh: Served) -> None:
    fresh.commit({"deployments/loads.yaml": LOADS})
    items = fresh.get(f"/api/v1/deployments?document={PLACE}").json()["items"]
    assert {item["name"]: item["matrix"] for item in items} == {
        "load-eu": {"region": "eu"},
        "load-us": {"region": "us"},
    }
    assert fresh.get("/api/v1/deployments?document=deployments/loads.yaml").json()["total"] == 2
    page = fresh.get(f"/deployments?document={PLACE}", Accept="text/html").text
    assert f"<option selected>{PLACE}</option>" in page
    assert ("/deployments/load-us" in page, "/deployments/speak" in page) == (True, False)
    assert "region=us" in fresh.get("/deployments/load-us", Accept="text/html").text
    run = fresh.run("load-us")
    assert fresh.get(f"/api/v1/runs/{run['id']}").json()["state"] == "succeeded"
    fresh.commit({"deployments/loads.yaml": LOADS.replace(", us]", "]")})
    assert fresh.get("/api/v1/deployments/load-us").status == 404
    document = fresh.get("/api/v1/deployments/load-us/document").json()
    assert document["document"]["env"] == {"REGION": "us"}
    assert not document["is_whole"]
    fresh.commit({"deployments/restored.yaml": document["text"]})
    assert fresh.get("/api/v1/deployments/load-us").json()["matrix"] == {"region": "us"}
