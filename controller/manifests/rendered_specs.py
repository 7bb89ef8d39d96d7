"""Python specs that were rendered, to documents: what `python_specs` has written, read like any other content.

`reader` calls it. It does not execute anything: a spec that was not rendered is one finding. Limits are those of YAML,
because documents go through the same builder; places are those of the Python file.
"""

import json
import re
from typing import Any

from controller.manifests.foreign_keys import foreign_key_hint
from controller.manifests.yaml.loader import Loaded, load
from controller.manifests.yaml.nodes import Document, Node, Position, Problem
from controller.model.findings import Severity
from controller.model.snapshots import RENDERED

NOT_RENDERED = "PythonNotRendered"


def load_rendered(content: bytes) -> Loaded:
    """The documents of a Python spec."""
    if not content.startswith(RENDERED):
        return Loaded(
            problems=(
                Problem(
                    code="PythonNotRendered",
                    message="this Python spec was not executed, so nobody knows what it declares",
                    place=Position(1, 1),
                    hint="--render-python executes it: only for files that you trust as you trust a program",
                    severity=Severity.WARNING,
                ),
            )
        )
    said = json.loads(content.removeprefix(RENDERED))
    error = said.get("error")
    if error is not None:
        message = f"it could not be executed: {error['message']}"
        problem = Problem(
            code="PythonSpecFailed", message=message, place=Position(error["line"], 1), hint=_hint(error["message"])
        )
        return Loaded(problems=(problem,))
    loaded = [_document(one) for one in said["documents"]]
    return Loaded(
        documents=tuple(document for one in loaded for document in one.documents),
        problems=tuple(problem for one in loaded for problem in one.problems),
    )


def _hint(message: str) -> str | None:
    """What to write in place of what another program has."""
    if re.search(r"No module named '(prefect|airflow|dagster)\b", message):
        return "write: from controller import DeploymentSpec, CronSchedule, IntervalSchedule, RRuleSchedule, flow, task"
    wrong = re.match(r"TypeError: (\w+): .* can't be written as JSON", message)
    return foreign_key_hint((), wrong[1], None, {}) if wrong else None


def _document(said: dict[str, Any]) -> Loaded:
    """One document, through the builder that counts."""
    top = Position(said["line"], said.get("column", 1))
    loaded = load(json.dumps(said["value"]).encode(), json=True)
    places = {key: Position(*place) for key, place in said.get("places", {}).items()}
    problems = (
        Problem(code=problem.code, message=problem.message, place=top, hint=problem.hint) for problem in loaded.problems
    )
    return Loaded(
        documents=tuple(Document(root=_placed(one.root, top, places)) for one in loaded.documents),
        problems=tuple(problems),
    )


def _placed(node: Node, place: Position, inside: dict[str, Position] | None = None) -> Node:
    """The same, written at a place of the Python file; the fields at places of their own where those are known."""
    inside = inside or {}
    return node._replace(
        place=place,
        fields={key: _placed(field, inside.get(key, place)) for key, field in node.fields.items()},
        keys={key: inside.get(key, place) for key in node.keys},
        items=tuple(_placed(item, place) for item in node.items),
    )
