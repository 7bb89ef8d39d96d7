"""The files of tests/examples are either valid or have exactly the findings listed next to them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.schema_validation import deployment_schema_text
from controller.manifests.yaml.loader import load
from controller.model.snapshots import ManifestFile

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples"
POSITIVE = sorted(EXAMPLES.glob("positive/*"))
NEGATIVE = sorted(EXAMPLES.glob("negative/*.yaml"))
SCHEMA: dict[str, Any] = json.loads(deployment_schema_text())
OF_THE_SHAPE = frozenset({"UnknownKey", "MissingKey", "ConflictingKeys", "WrongType", "NotAMapping"})


def read(path: Path, *, is_stored: bool = True) -> DesiredState:
    file = ManifestFile(path=f"deployments/{path.name}", content=path.read_bytes(), digest="1")
    return ManifestReader(is_stored=is_stored).read([file], NOW)


def documents(path: Path) -> list[Any]:
    return [document.root.value for document in load(path.read_bytes(), json=path.suffix == ".json").documents]


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("path", POSITIVE, ids=lambda path: path.stem)
def test_a_positive_example_is_valid(path: Path, is_stored: bool) -> None:
    state = read(path, is_stored=is_stored)
    assert state.findings == ()
    assert len(state.deployments) == state.document_count > 0


@pytest.mark.parametrize("path", POSITIVE, ids=lambda path: path.stem)
def test_the_schema_accepts_a_positive_example(path: Path) -> None:
    for document in documents(path):
        Draft7Validator(SCHEMA).validate(document)


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("path", NEGATIVE, ids=lambda path: path.stem)
def test_a_negative_example_has_exactly_its_findings(path: Path, is_stored: bool) -> None:
    found = [
        {"code": finding.code, "line": finding.line, "column": finding.column, "path": finding.path}
        for finding in read(path, is_stored=is_stored).findings
    ]
    assert found == json.loads(path.with_suffix(".findings.json").read_text())


@pytest.mark.parametrize("path", NEGATIVE, ids=lambda path: path.stem)
def test_the_schema_rejects_the_invalid_examples(path: Path) -> None:
    if {finding.code for finding in read(path).findings} & OF_THE_SHAPE:
        assert not all(Draft7Validator(SCHEMA).is_valid(document) for document in documents(path))


def test_every_negative_example_lists_its_findings() -> None:
    noted = {path.name.removesuffix(".findings.json") for path in EXAMPLES.glob("negative/*.json")}
    assert noted == {path.stem for path in NEGATIVE}


def test_the_positive_examples_use_every_key() -> None:
    found = [document for path in POSITIVE for document in documents(path)]
    schedules = [said for one in found for said in (one.get("schedule"), *one.get("schedules", ())) if said]
    assert {key for one in found for key in one if not key.startswith("x-")} == set(SCHEMA["properties"])
    assert {key for one in schedules if isinstance(one, dict) for key in one} == set(
        SCHEMA["definitions"]["schedule"]["properties"]
    )
