"""A document that is held as text equals the document itself, and is parsed when it is needed."""

import json

import pytest

from controller.manifests.build import build_deployment
from controller.model.stored_documents import StoredDocument, plain_document

DOCUMENT = {"name": "a", "command": ["true"], "env": {"A": "1"}, "tags": ["x", "y"]}


def test_it_is_the_mapping_that_its_text_says() -> None:
    stored = StoredDocument(json.dumps(DOCUMENT))
    assert stored == DOCUMENT
    assert list(stored) == list(DOCUMENT)
    assert (len(stored), stored["tags"], stored.get("other")) == (4, ["x", "y"], None)
    assert plain_document(stored) == plain_document(DOCUMENT) == DOCUMENT


def test_nobody_can_change_it() -> None:
    stored = StoredDocument(json.dumps(DOCUMENT))
    stored["tags"].append("z")
    assert stored == DOCUMENT


def test_building_a_deployment_parses_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    loads = json.loads

    def recording(text: str) -> object:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", recording)
    build_deployment(DOCUMENT, "a.yaml", 1)  # the schemas are parsed with the first one
    parsed.clear()
    deployment = build_deployment(StoredDocument(json.dumps(DOCUMENT)), "a.yaml", 1)
    assert deployment.document == DOCUMENT
    assert len(parsed) == 1
