"""Loads the documents of rendered Python specs, which the `python_specs` package wrote as JSON.

`parse_cache` calls it. It executes nothing: a spec that was not rendered gives one finding. The limits of
YAML apply, because the documents go through the same builder. Positions are those in the Python file.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from controller.manifests.yaml.loader import Loaded, load
from controller.manifests.yaml.nodes import Document, Node, Position, Problem
from controller.model.findings import Finding, Severity
from controller.model.snapshots import RENDERED

NOT_RENDERED = "PythonNotRendered"


def load_rendered(content: bytes) -> Loaded:
    """Return the documents of a Python spec."""
    if not content.startswith(RENDERED):
        return Loaded(
            problems=(
                Problem(
                    code="PythonNotRendered",
                    message="this Python spec was not executed, so its deployments are unknown",
                    place=Position(1, 1),
                    hint="`controller validate --render-python` executes it, if you trust it like any other program",
                    severity=Severity.WARNING,
                ),
            )
        )
    rendered = json.loads(content.removeprefix(RENDERED))
    error = rendered.get("error")
    if error is not None:
        message = f"the file could not be executed: {error['message']}"
        problem = Problem(
            code="PythonSpecFailed", message=message, place=Position(error["line"], 1), hint=_hint(error["message"])
        )
        return Loaded(problems=(problem,))
    parts = [_document(part) for part in rendered["documents"]]
    return Loaded(
        documents=tuple(document for part in parts for document in part.documents),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def unexecuted_specs(findings: Iterable[Finding]) -> frozenset[str]:
    """Return the Python specs that were not executed."""
    return frozenset(finding.file for finding in findings if finding.code == NOT_RENDERED)


def _hint(message: str) -> str | None:
    """Return a hint if the spec was written for another program."""
    if re.search(r"No module named '(prefect|airflow|dagster)\b", message):
        return "write: from controller import DeploymentSpec, CronSchedule, IntervalSchedule, RRuleSchedule, flow, task"
    match = re.match(r"TypeError: (\w+): .* can't be written as JSON", message)
    if match is None:
        return None
    from controller.manifests.foreign_keys import foreign_key_hint  # only problems need it

    return foreign_key_hint((), match[1], None, {})


def _document(part: dict[str, Any]) -> Loaded:
    """Return one document, loaded with the limits of YAML."""
    top = Position(part["line"], part.get("column", 1))
    loaded = load(json.dumps(part["value"]).encode(), json=True)
    places = {key: Position(*place) for key, place in part.get("places", {}).items()}
    problems = (
        Problem(code=problem.code, message=problem.message, place=top, hint=problem.hint) for problem in loaded.problems
    )
    return Loaded(
        documents=tuple(Document(root=_place(document.root, top, places)) for document in loaded.documents),
        problems=tuple(problems),
    )


def _place(node: Node, place: Position, inside: dict[str, Position] | None = None) -> Node:
    """Return the node at a position in the Python file, and its fields at their own positions (`inside`) if known."""
    inside = inside or {}
    return node._replace(
        place=place,
        fields={key: _place(field, inside.get(key, place)) for key, field in node.fields.items()},
        keys={key: inside.get(key, place) for key in node.keys},
        items=tuple(_place(item, place) for item in node.items),
    )
