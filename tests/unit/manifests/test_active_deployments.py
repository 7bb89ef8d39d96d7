"""A stored document is built once, however many parts of the controller ask for its deployment."""

from dataclasses import replace

import pytest

from controller.errors import StateError
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.build import build_deployment
from controller.model.status import InventoryEntry
from tests.conftest import NOW


def entry(priority: int, file: str = "a.yaml") -> InventoryEntry:
    document = {"name": "a", "command": ["true"], "priority": priority}
    digest = build_deployment(document, file, 1).spec_digest
    return InventoryEntry(
        name="a", file=file, line=1, document=document, spec_digest=digest, revision="dir@sha256:0", cursor=NOW
    )


def test_an_unchanged_document_is_built_once() -> None:
    deployments = ActiveDeployments()
    built = deployments.build(entry(1))
    assert deployments.build(replace(entry(1), cursor=NOW, generation=2)) is built


def test_a_changed_document_or_another_file_is_built_again() -> None:
    deployments = ActiveDeployments()
    deployments.build(entry(1))
    assert deployments.build(entry(2)).priority == 2
    assert deployments.build(entry(2, "b.yaml")).file == "b.yaml"
    assert deployments.build(entry(1)).priority == 1


def test_applied_deployments_are_not_built_again_and_removed_ones_are() -> None:
    deployments = ActiveDeployments()
    applied = build_deployment(entry(1).document, "a.yaml", 1)
    deployments.add([applied])
    assert deployments.build(entry(1)) is applied
    deployments.remove(["a", "unknown"])
    assert deployments.build(entry(1)) is not applied


def test_a_document_that_is_no_longer_valid_is_an_error() -> None:
    with pytest.raises(StateError, match="is not valid"):
        ActiveDeployments().build(replace(entry(1), document={"name": "a"}))
