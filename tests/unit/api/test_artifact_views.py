"""Artifacts of a run appear in the API and on its page, and are never interpreted as HTML."""

from tests.unit.api.conftest import Served

FLOW = """
from controller import flow, markdown, table

@flow(flow_run_name="<i>{n}")
def main(n: int = 7) -> None:
    markdown("<script>alert(1)</script>", key="<b>")
    table([{"<u>": "</pre><img src=x>"}])
"""


def test_artifacts_are_escaped(served: Served) -> None:
    served.commit({"flows/shows.py": FLOW, "deployments/shows.yaml": "name: shows\nflow: flows/shows.py:main\n"})
    run = served.run("shows")
    assert (run["name"], [one["kind"] for one in run["artifacts"]]) == ("<i>7", ["markdown", "table"])
    assert [one["name"] for one in run["tasks"]] == ["main"]
    page = served.get(f"/runs/{run['id']}?tab=artifacts", cookie=served.log_in()).text
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;i&gt;7" in page
    assert not [tag for tag in ("<script>alert", "<i>", "<b>", "<u>", "<img src=x") if tag in page]
