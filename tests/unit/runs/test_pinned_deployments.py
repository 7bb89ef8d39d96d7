"""A run executes what git declares at its commit; a file is parsed once for all its runs, or was parsed by a pass."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from controller.errors import SourceError
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.reader import ManifestReader
from controller.model.deployments import Deployment
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.runs.pinned_deployments import PinnedDeployments
from controller.sources.git import GitSource
from controller.store import Store
from tests.conftest import NOW, GitRepository


@dataclass(frozen=True, slots=True)
class World:
    """A followed repository, and what its runs execute."""

    repository: GitRepository
    source: GitSource
    pinned_deployments: PinnedDeployments
    active: ActiveDeployments

    def declared(self) -> dict[str, Deployment]:
        snapshot = self.source.read(self.source.observe())
        return dict(ManifestReader().read(snapshot.files, NOW, snapshot.project).deployments)

    def resolve(self, deployment: Deployment, *, digest: str | None = None) -> Deployment:
        """Return the definition that a run of this deployment executes if it was created at the current commit."""
        run = Run(
            id=RunId("0" * 32),
            deployment=deployment.name,
            trigger=Trigger.SCHEDULE,
            state=RunState.PENDING,
            revision=self.source.observe(),
            spec_digest=digest or deployment.spec_digest,
            file=deployment.file,
            created_at=NOW,
            scheduled_for=NOW,
        )
        return self.pinned_deployments.resolve(run, NOW + timedelta(days=1))


@pytest.fixture
def world(repository: GitRepository, store: Store) -> World:
    source = GitSource(repository.path, ref=None, path="deployments", exports=repository.path / ".controller/exports")
    active = ActiveDeployments()
    return World(repository, source, PinnedDeployments(source, store, None, active), active)


def documents(first: int, count: int, change: Callable[[str], str] = str) -> str:
    return "---\n".join(change(f"name: d{n}\ncommand: ['true', '{n}']\n") for n in range(first, first + count))


def test_a_file_is_parsed_once_for_all_runs_of_its_deployments(world: World) -> None:
    world.repository.commit({"deployments/a.yaml": documents(0, 500), "deployments/b.yaml": documents(500, 500)})
    declared = world.declared()
    assert len(declared) == 1000
    for name in sorted(declared):  # the files by turns
        assert world.resolve(declared[name]) == declared[name]
    assert world.pinned_deployments.parsed == 2
    processes = world.source.work.processes
    for deployment in declared.values():
        world.resolve(deployment)
    assert world.source.work.processes == processes


def test_what_a_pass_has_read_at_the_revision_of_a_run_is_not_read_again(world: World) -> None:
    world.repository.commit({"deployments/a.yaml": documents(0, 100), "deployments/b.yaml": documents(100, 100)})
    declared = world.declared()
    world.active.declare(world.source.observe(), declared)
    processes = world.source.work.processes
    assert all(world.resolve(deployment) is deployment for deployment in declared.values())
    assert (world.pinned_deployments.parsed, world.source.work.processes) == (0, processes)
    with pytest.raises(SourceError, match="does not declare d0"):
        world.resolve(declared["d0"], digest="sha256:0")


def test_what_a_pass_has_read_at_another_revision_is_read_again(world: World) -> None:
    world.repository.commit({"deployments/a.yaml": documents(0, 2)})
    declared = world.declared()
    world.active.declare("main@sha1:0", declared)
    assert world.resolve(declared["d0"]) == declared["d0"]
    assert world.pinned_deployments.parsed == 1


def test_an_unrelated_commit_parses_nothing_again(world: World) -> None:
    world.repository.commit({"deployments/a.yaml": documents(0, 3), "deployments/b.yaml": documents(3, 3)})
    for deployment in world.declared().values():
        world.resolve(deployment)
    world.repository.commit({"README": "new\n", "deployments/c.yaml": documents(6, 1)})
    for deployment in [one for one in world.declared().values() if one.file != "deployments/c.yaml"]:
        world.resolve(deployment)
    assert world.pinned_deployments.parsed == 2


def test_a_changed_file_or_project_is_parsed_again(world: World) -> None:
    world.repository.commit({"deployments/a.yaml": documents(0, 2)})
    before = world.declared()["d0"]
    world.resolve(before)
    world.repository.commit({"deployments/a.yaml": documents(0, 2, lambda text: text + "priority: 5\n")})
    assert world.resolve(world.declared()["d0"]).priority == 5
    world.repository.commit({"controller.yaml": "defaults: {timeout: 1h}\n"})
    assert world.resolve(world.declared()["d0"]).timeout == timedelta(hours=1)
    assert world.pinned_deployments.parsed == 3
    with pytest.raises(SourceError, match="does not declare d0"):
        world.resolve(before)


def test_a_document_that_git_does_not_declare_is_not_executed_from_the_cache(world: World) -> None:
    world.repository.commit({"deployments/a.yaml": documents(0, 2)})
    deployment = world.declared()["d0"]
    world.resolve(deployment)
    with pytest.raises(SourceError, match="does not declare d0"):
        world.resolve(deployment, digest="sha256:0")


CALENDAR = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
PROJECT = "calendars: {nyse: {file: calendars/nyse.ics}}\n"
DAILY = "name: a\ncommand: ['true']\nschedule: {cron: '0 9 * * *', except: nyse}\n"


def test_a_run_keeps_the_calendar_file_of_its_commit(world: World) -> None:
    def commit(day: str) -> tuple[Deployment, str]:
        files = {"controller.yaml": PROJECT, "deployments/a.yaml": DAILY, "calendars/nyse.ics": CALENDAR.format(day)}
        world.repository.commit(files)
        revision = world.source.observe()
        snapshot, code = world.source.read(revision), world.source.code(revision)
        return ManifestReader().read(snapshot.files, NOW, snapshot.project, code).deployments["a"], revision

    first, old = commit("20261126")
    assert first.document["calendars"] == {"nyse": {"dates": ["2026-11-26"]}}
    assert world.resolve(first) == first
    second, _ = commit("20261127")
    assert second.spec_digest != first.spec_digest
    assert world.resolve(second) == second
    run = Run(
        id=RunId("0" * 32),
        deployment="a",
        trigger=Trigger.SCHEDULE,
        state=RunState.PENDING,
        revision=old,
        spec_digest=first.spec_digest,
        file=first.file,
        created_at=NOW,
        scheduled_for=NOW,
    )
    assert world.pinned_deployments.resolve(run, NOW) == first
