"""The engine asks for the Python environment of a run as of the commit that the run executes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.manifests.reader import ManifestReader
from controller.model.deployments import Deployment
from controller.model.python_environments import MAX_FILE_BYTES
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.python_environments import PythonEnvironments
from controller.runs.python_runtimes import PythonRuntimes
from controller.settings import UvSettings
from controller.sources.git import GitSource
from controller.store import Store, python_environments
from tests.conftest import NOW, GitRepository, ManualClock


@pytest.fixture
def source(repository: GitRepository, tmp_path: Path) -> GitSource:
    text = "name: a\nflow: flows/a.py:main\npython: {requirements: flows/requirements.txt}\n"
    repository.commit(
        {"deployments/a.yaml": text, "flows/a.py": "def main(): ...\n", "flows/requirements.txt": "acme\n"}
    )
    return GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")


@pytest.fixture
def deployment(source: GitSource) -> Deployment:
    return ManifestReader().read(source.read(source.observe()).files, NOW).deployments["a"]


@pytest.fixture
def runtimes(source: GitSource, store: Store, clock: ManualClock, tmp_path: Path) -> PythonRuntimes:
    return PythonRuntimes(PythonEnvironments(store, clock, tmp_path / "python", UvSettings()), source)


def make_run(deployment: Deployment, revision: str) -> Run:
    return Run(
        id=RunId("0" * 32),
        deployment=deployment.name,
        trigger=Trigger.MANUAL,
        state=RunState.PENDING,
        revision=revision,
        spec_digest=deployment.spec_digest,
        file=deployment.file,
        created_at=NOW,
    )


def test_an_unknown_environment_is_resolved_as_of_the_commit_of_the_run(
    repository: GitRepository, source: GitSource, deployment: Deployment, runtimes: PythonRuntimes, store: Store
) -> None:
    revision = source.observe()
    root, run = source.checkout(revision), make_run(deployment, revision)
    assert runtimes.find(run, deployment, root) == (False, None)
    committed_at = datetime.fromtimestamp(int(repository.git("show", "--no-patch", "--format=%ct")), UTC)
    with store.read() as tx:
        assert [one.committed_at for one in python_environments.find_all(tx).values()] == [committed_at]
    processes = source.work.processes
    assert runtimes.find(run, deployment, root) == (False, None)
    assert source.work.processes == processes


def test_a_run_with_too_large_requirements_is_refused(
    source: GitSource, deployment: Deployment, runtimes: PythonRuntimes, tmp_path: Path
) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/requirements.txt").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SourceError) as error:
        runtimes.find(make_run(deployment, source.observe()), deployment, tmp_path)
    limit = "the file has 4,194,305 bytes; the limit is 4,194,304"
    assert error.value.message == f"flows/requirements.txt: {limit}."
