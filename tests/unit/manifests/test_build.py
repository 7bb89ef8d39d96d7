"""A stored document becomes the same deployment again; a damaged one raises StateError."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.errors import StateError
from controller.manifests.build import build, build_deployment
from controller.manifests.reader import DesiredState
from controller.manifests.yaml.loader import load
from controller.model.deployments import Deployment

Read = Callable[..., DesiredState]
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "positive").iterdir())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_stored_document_builds_the_same_deployment(read: Read, path: Path) -> None:
    for deployment in read(**{path.name.replace(".", "_", 1): path.read_bytes()}).deployments.values():
        stored = json.loads(json.dumps(deployment.document))
        back: Deployment = build_deployment(stored, deployment.file, deployment.line)
        assert back == deployment


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "a"},
        {"name": "a", "flow": "x.py:f", "later": 1},
        {"name": "a", "flow": "../x.py:f"},
        {"name": "a", "flow": "x.py:f", "env": {"PATH": "x"}},
        {"name": "a", "flow": "x.py:f", "timeout": "soon"},
        {"name": 5, "flow": None},
    ],
)
def test_a_damaged_stored_document_raises_state_error(document: dict[str, Any]) -> None:
    with pytest.raises(StateError) as error:
        build_deployment(document, "a.yaml", 3)
    assert "a.yaml" in error.value.message


def test_valid_documents_do_not_load_the_schema_library() -> None:
    code = (
        "import sys; from controller.manifests.build import build_deployment as build;"
        "build({'name': 'a', 'flow': 'x.py:f'}, 'a.yaml', 1); print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_deployment_that_is_not_stored_has_only_what_findings_need(path: Path) -> None:
    for document in load(path.read_bytes(), json=path.suffix == ".json").documents:
        whole, checked = (build(document, path.name, None, is_stored=stored) for stored in (True, False))
        assert replace(checked, deployment=None) == replace(whole, deployment=None)
        assert needed(checked.deployment) == needed(whole.deployment)
        assert checked.deployment is None or (checked.deployment.schedules, checked.deployment.document) == ((), {})


def needed(deployment: Deployment | None) -> object:
    """Return what the findings about a deployment need."""
    if deployment is None:
        return None
    return deployment.name, deployment.target, deployment.file, deployment.line, deployment.notify
