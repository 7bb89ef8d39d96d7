"""The engine asks for the Python environment of a run as of the commit that the run executes."""

from datetime import UTC, datetime
from pathlib import Path

from controller.manifests.reader import ManifestReader
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.python_environments import PythonEnvironments
from controller.runs.python_runtimes import PythonRuntimes
from controller.settings import UvSettings
from controller.sources.git import GitSource
from controller.store import Store, python_environments
from tests.conftest import NOW, GitRepository, ManualClock


def test_an_unknown_environment_is_resolved_as_of_the_commit_of_the_run(
    repository: GitRepository, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    revision = repository.commit(
        {
            "deployments/a.yaml": "name: a\nflow: flows/a.py:main\npython: {requirements: [acme]}\n",
            "flows/a.py": "def main(): ...\n",
        }
    )
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    root = source.checkout(revision)
    deployment = ManifestReader().read(source.read(revision).files, NOW).deployments["a"]
    run = Run(
        id=RunId("0" * 32),
        deployment="a",
        trigger=Trigger.MANUAL,
        state=RunState.PENDING,
        revision=revision,
        spec_digest=deployment.spec_digest,
        file=deployment.file,
        created_at=NOW,
    )
    runtimes = PythonRuntimes(PythonEnvironments(store, clock, tmp_path / "python", UvSettings()), source)
    assert runtimes.find(run, deployment, root) == (False, None)
    committed_at = datetime.fromtimestamp(int(repository.git("show", "--no-patch", "--format=%ct", revision)), UTC)
    with store.read() as tx:
        assert [one.committed_at for one in python_environments.find_all(tx).values()] == [committed_at]
    processes = source.work.processes
    assert runtimes.find(run, deployment, root) == (False, None)
    assert source.work.processes == processes
