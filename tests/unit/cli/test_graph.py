"""`controller graph` prints what starts or holds back what, in every format."""

from pathlib import Path

import pytest

from tests.conftest import GitRepository, new_repository
from tests.unit.cli.conftest import Command

DEPLOYMENTS = """
name: ingest
command: [a]
schedule: {interval: 1h}
---
name: audit
command: [a]
after: {deployment: ingest, on: finished}
---
name: report
command: [a]
after: [ingest, audit]
schedule: {interval: 1d}
---
name: publish
command: [a]
after: report
---
name: load
command: [a]
on:
  - files: {path: /srv/inbox, pattern: "*.csv"}
---
name: alone
command: [a]
"""
TEXT = """\
/srv/inbox/*.csv (new files)
└─ starts load
ingest
├─ starts audit on finished
│  └─ releases report (all of 2)
│     └─ starts publish
└─ releases report (all of 2, see above)

1 other deployment has no dependencies.
"""
MERMAID = """\
flowchart LR
  n0[/"/srv/inbox/*.csv"/]
  n1["audit"]
  n2["ingest"]
  n3["load"]
  n4["publish"]
  n5["report"]
  n0 --> n3
  n1 -.->|succeeded, all of 2| n5
  n2 -->|finished| n1
  n2 -.->|succeeded, all of 2| n5
  n5 -->|succeeded| n4
"""


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = new_repository(tmp_path / "r")
    repository.commit({"deployments/all.yaml": DEPLOYMENTS})
    return repository


def test_the_text_is_a_tree_and_repeats_no_branch(command: Command, repository: GitRepository) -> None:
    assert command("graph", "--repo", str(repository.path)).out == TEXT


def test_the_part_around_a_deployment_is_its_upstreams_and_its_dependants(
    command: Command, repository: GitRepository
) -> None:
    answer = command("graph", "audit", "--repo", str(repository.path))
    assert (
        answer.out == "ingest\n└─ starts audit on finished\n   └─ releases report (all of 2)\n      └─ starts publish\n"
    )
    assert command("graph", "alone", "--repo", str(repository.path)).out == "No deployment has dependencies.\n"


def test_an_unknown_name_is_an_error(command: Command, repository: GitRepository) -> None:
    answer = command("graph", "audti", "--repo", str(repository.path))
    assert answer.code == 2
    assert "audit" in answer.err


def test_the_json_has_nodes_and_edges(command: Command, repository: GitRepository) -> None:
    view = command("graph", "--repo", str(repository.path), "-o", "json").json
    assert view["independent"] == 1
    assert [(node["name"], node["kind"]) for node in view["nodes"]][:2] == [
        ("/srv/inbox/*.csv", "file"),
        ("audit", "deployment"),
    ]
    assert view["edges"][2] == {"from": "ingest", "to": "audit", "kind": "event", "on": "finished", "any": False}
    assert view["edges"][3] == {"from": "ingest", "to": "report", "kind": "gate", "on": "succeeded", "any": False}


def test_mermaid_and_dot_quote_names(command: Command, repository: GitRepository) -> None:
    assert command("graph", "--repo", str(repository.path), "-o", "mermaid").out == MERMAID
    dot = command("graph", "--repo", str(repository.path), "-o", "dot").out
    assert '  "/srv/inbox/*.csv" -> "load";\n' in dot
    assert '  "ingest" -> "report" [label="succeeded, all of 2", style=dashed];\n' in dot
    assert dot.startswith("digraph deployments {\n")


def test_execute_asks_for_parameters_that_come_from_results(command: Command, repository: GitRepository) -> None:
    text = 'name: sum\ncommand: ["true"]\nafter: ingest\nparameters: {path: {from: ingest.result.path}}\n'
    repository.commit({"deployments/sum.yaml": text})
    answer = command("execute", "sum", "--repo", str(repository.path))
    assert answer.code == 2
    assert "Parameter path comes from the result of an upstream run: ingest.result.path." in answer.err
    assert command("execute", "sum", "--repo", str(repository.path), "--param", "path=x").code == 0
