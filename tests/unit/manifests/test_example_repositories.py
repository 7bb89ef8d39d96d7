"""The repositories of tests/examples/repositories have exactly the findings listed in them, in all environments."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.findings import Severity
from controller.sources.directory.source import DirectorySource

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
REPOSITORIES = sorted(path for path in (Path(__file__).parents[2] / "examples" / "repositories").iterdir())


def read(repository: Path, *, is_stored: bool = True) -> DesiredState:
    source = DirectorySource(repository, path="deployments")
    revision = source.observe()
    snapshot = source.read(revision)
    reader = ManifestReader(all_environments=True, is_stored=is_stored)
    return reader.read(snapshot.files, NOW, snapshot.project, source.code(revision))


def noted(repository: Path) -> Any:
    return json.loads((repository / "findings.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda path: path.name)
def test_a_repository_has_exactly_its_findings(repository: Path, is_stored: bool) -> None:
    found = [
        {
            "place": f"{finding.file}:{finding.line}:{finding.column}",
            "severity": finding.severity.value,
            "code": finding.code,
            "path": finding.path,
            "message": finding.message,
            "hint": finding.hint,
        }
        for finding in read(repository, is_stored=is_stored).findings
    ]
    assert found == noted(repository)


@pytest.mark.parametrize("repository", REPOSITORIES, ids=lambda path: path.name)
def test_documents_without_errors_become_deployments(repository: Path) -> None:
    state = read(repository)
    wrong = {finding.deployment for finding in state.findings if finding.severity is Severity.ERROR}
    if None not in wrong:
        assert len(state.deployments) == state.document_count - len(wrong)
    assert not wrong & state.deployments.keys()


def test_there_are_valid_and_invalid_repositories() -> None:
    good = [repository for repository in REPOSITORIES if noted(repository) == []]
    assert 0 < len(good) < len(REPOSITORIES)
