"""Where the fields of a deployment are written: in its document, its overlay, or the project."""

from datetime import UTC, datetime

from controller.manifests import SourceLocation, field_places
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


def test_a_field_is_on_the_line_of_its_key_also_under_another_name() -> None:
    found = places(TEXT, "nightly")
    assert found["name"] == ("deployments/a.yaml", 4)
    assert found["flow"] == ("deployments/a.yaml", 5)
    assert found["parameters"] == ("deployments/a.yaml", 7)
    assert found["schedules"] == ("deployments/a.yaml", 8)
    assert "timeout" not in found


def test_what_an_overlay_or_the_project_gives_is_there() -> None:
    project = manifest("controller.yaml", "defaults:\n  tags: [all]\n  timeout: 1h\n")
    assert places(TEXT, "nightly", project=project)["timeout"] == ("controller.yaml", 3)
    found = places(TEXT, "nightly", project=project, environment="prod")
    assert found["timeout"] == ("deployments/a.yaml", 11)
    assert found["tags"] == ("controller.yaml", 2)


def test_what_is_not_there_or_broken_has_no_places() -> None:
    assert places(TEXT, "nobody") == {}
    assert places("{[", "nightly") == {}
    assert places("- 5\n- [name, nightly]", "nightly") == {}
