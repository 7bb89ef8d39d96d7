"""`runs show` shows artifacts without interpreting markup; `execute` reports the result, whatever else it receives."""

from tests.unit.cli.conftest import Followed

FLOW = """
from controller import flow, link, markdown, table

@flow(flow_run_name="load-{region}")
def main(region: str = "eu\\u202e") -> int:
    markdown("# [bold]Loaded[/]\\n12 \\x1b[31mfiles", key="summary")
    table([{"day": 1, "[b]rows": None}])
    table([[1, 2], [3]], key="plain")
    table([])
    link("https://example.org/7", "the report")
    link("/runs")
    return 5
"""
MANY = """
from controller import flow, markdown, task

@task
def step(number: int) -> int:
    return number

@flow
def main() -> int:
    for number in range(20):
        markdown("x" * 60_000)
    return sum(step.map(range(2000)).result())
"""


def test_artifacts_and_the_name_are_shown(followed: Followed) -> None:
    followed.commit({"flows/f.py": FLOW, "deployments/f.yaml": "name: shows\nflow: flows/f.py:main\n"})
    run = followed("trigger", "shows", "--wait", "-o", "json").json
    found = followed("runs", "show", run["id"], "-o", "json").json
    assert (found["name"], len(found["artifacts"]), found["artifacts"][1]) == (
        "load-eu\N{REPLACEMENT CHARACTER}",
        6,
        {"key": None, "kind": "table", "data": {"columns": ["day", "[b]rows"], "rows": [[1, None]]}},
    )
    text = followed("runs", "show", run["id"]).out
    said = [" ".join(line.split()) for line in text.splitlines()]
    assert "name load-eu\N{REPLACEMENT CHARACTER}" in said
    assert said[said.index("artifacts") :] == [
        *("artifacts", "markdown summary", "# [bold]Loaded[/]", "12 \\x1b[31mfiles"),
        *("table", "day [b]rows", "1", "table plain", "1 2", "3", "table", "no rows"),
        *("link", "the report https://example.org/7", "link", "/runs"),
    ]
    listed = followed("runs", "list", "--deployment", "shows", "-o", "json").json
    assert [(one["name"], one["artifacts"]) for one in listed] == [(None, [])]


def test_execute_gets_the_result_despite_invalid_reports(followed: Followed) -> None:
    followed.repository.commit({"flows/many.py": MANY})
    answer = followed("execute", "flows/many.py:main")
    assert (answer.code, answer.out) == (0, "1999000\n"), answer.err


TAGGED = """
from controller import flow, tags, task

@task(tags=["sales", "\\x1b[31m"])
def step() -> None: ...

@flow
def main() -> None:
    with tags("daily"):
        step()
"""


def test_tags_of_tasks_are_shown(followed: Followed) -> None:
    followed.commit({"flows/t.py": TAGGED, "deployments/t.yaml": "name: labelled\nflow: flows/t.py:main\n"})
    run = followed("trigger", "labelled", "--wait", "-o", "json").json
    [line] = [line for line in followed("runs", "show", run["id"]).out.splitlines() if "step-1" in line]
    assert line.endswith("tagged daily, sales, \\x1b[31m")
    [line] = [line for line in followed("runs", "show", run["id"]).out.splitlines() if "main-1" in line]
    assert "tagged" not in line
