"""Each field of a deployment is located in its document, its overlay, or the project file."""

from datetime import UTC, datetime

from controller.manifests.field_locations import SourceLocation, field_places
from controller.model.snapshots import ManifestFile
from tests.unit.manifests.conftest import manifest

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TEXT = """\
name: other
command: [echo]
---
name: nightly
flow_location: ../flows/etl.py
flow_name: main
parameters: {region: eu}
schedule: {cron: "0 4 * * *"}
environments:
  prod:
    timeout: 2h
"""


def places(
    text: str, name: str, *, project: ManifestFile | None = None, environment: str | None = None
) -> dict[str, SourceLocation]:
    content, file = text.encode(), "deployments/a.yaml"
    return dict(field_places(content, file, name, project=project, environment=environment, now=NOW))


def test_a_field_is_located_at_its_key_or_at_an_alias() -> None:
    found = places(TEXT, "nightly")
    assert found["name"] == ("deployments/a.yaml", 4)
    assert found["flow"] == ("deployments/a.yaml", 5)
    assert found["parameters"] == ("deployments/a.yaml", 7)
    assert found["schedules"] == ("deployments/a.yaml", 8)
    assert "timeout" not in found


def test_fields_from_overlays_and_the_project_are_located_there() -> None:
    project = manifest("controller.yaml", "defaults:\n  tags: [all]\n  timeout: 1h\n")
    assert places(TEXT, "nightly", project=project)["timeout"] == ("controller.yaml", 3)
    found = places(TEXT, "nightly", project=project, environment="prod")
    assert found["timeout"] == ("deployments/a.yaml", 11)
    assert found["tags"] == ("controller.yaml", 2)


def test_missing_and_broken_documents_have_no_locations() -> None:
    assert places(TEXT, "nobody") == {}
    assert places("{[", "nightly") == {}
    assert places("- 5\n- [name, nightly]", "nightly") == {}
