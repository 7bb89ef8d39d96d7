"""The schedules of recorded documents are those of the deployments that are built from them."""

from pathlib import Path

import pytest

from controller.errors import StateError
from controller.manifests.build import build_deployment
from controller.manifests.reader import ManifestReader
from controller.manifests.recorded_schedules import RecordedSchedules
from controller.model.snapshots import PROJECT_FILE, ManifestFile
from tests.unit.manifests.test_reader import NOW

EXAMPLES = sorted((Path(__file__).parents[2] / "examples/positive").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_schedules_are_those_of_the_deployment(path: Path) -> None:
    manifest = ManifestFile(path=path.name, content=path.read_bytes(), digest="1")
    recorded = RecordedSchedules()
    for deployment in ManifestReader().read([manifest], NOW).deployments.values():
        built = build_deployment(deployment.document, deployment.file, deployment.line)
        assert recorded.find(deployment.document) == built.schedules == deployment.schedules


def test_calendars_of_the_project_are_part_of_the_record() -> None:
    calendars = "calendars: {closed: {dates: [2026-12-24]}}\n"
    project = ManifestFile(path=PROJECT_FILE, content=calendars.encode(), digest="1")
    document = "name: a\ncommand: [x]\nschedule: {cron: 0 3 * * *, except: [closed]}\n"
    state = ManifestReader().read([ManifestFile(path="a.yaml", content=document.encode(), digest="1")], NOW, project)
    [deployment] = state.deployments.values()
    assert deployment.schedules[0].exclude
    assert RecordedSchedules().find(deployment.document) == deployment.schedules


def test_equal_declarations_are_read_once() -> None:
    recorded = RecordedSchedules()
    documents = [{"name": f"d{i}", "command": ["x"], "schedule": {"cron": f"{i % 3} 3 * * *"}} for i in range(30)]
    found = [recorded.find(document) for document in documents]
    assert recorded.count == 3
    assert found[0] is found[3]
    assert found[0] != found[1]


@pytest.mark.parametrize("document", [{"name": "a"}, {"name": "a", "command": ["x"], "schedule": {"interval": "soon"}}])
def test_an_invalid_document_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(StateError):
        RecordedSchedules().find(document)
