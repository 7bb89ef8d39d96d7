"""A pass records the commits that it sees, and which of them changed or removed each deployment."""

from pathlib import Path

import pytest

from controller.model.commits import RecordedCommit
from controller.sources.git import GitSource
from controller.store import commits, inventory
from tests.conftest import GitRepository
from tests.unit.reconcile.conftest import World, hourly


class Followed:
    """A world that follows a repository."""

    def __init__(self, world: World, repository: GitRepository, exports: Path) -> None:
        self.world = world
        self.repository = repository
        self.source = GitSource(repository.path, ref=None, path="deployments", exports=exports)
        world.restart(source=self.source)

    def commit(self, subject: str, **files: str | None) -> str:
        """Commit `deployments/<name>.yaml`, or its removal with None."""
        for name, text in files.items():
            path = f"deployments/{name}.yaml"
            if text is None:
                (self.repository.path / path).unlink()
            else:
                self.repository.write(path, text)
        return self.repository.commit(message=subject)

    def pass_(self, *, is_requested: bool = False) -> int:
        """Make a pass, and return the number of git processes that it started."""
        before = self.source.work.processes
        self.world.reconciler.run_pass(is_requested=is_requested)
        return self.source.work.processes - before

    def changed_in(self, name: str) -> str | None:
        return self.world.entries()[name].changed_in

    def removed_in(self, name: str) -> str | None:
        with self.world.store.read() as tx:
            entry = inventory.find_removed(tx, name)
        assert entry is not None
        return entry.changed_in

    def history(self) -> list[RecordedCommit]:
        with self.world.store.read() as tx:
            return commits.latest(tx, 1000)

    def changes(self) -> list[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
        """Return what each commit added, changed and removed, newest first."""
        return [(one.subject, one.added.names, one.changed.names, one.removed.names) for one in self.history()]


@pytest.fixture
def followed(world: World, repository: GitRepository, tmp_path: Path) -> Followed:
    return Followed(world, repository, tmp_path / "exports")


def test_the_first_pass_names_the_last_commit_that_touched_each_file(followed: Followed) -> None:
    """Not the first revision that the controller has seen."""
    first = followed.commit("add two", a=hourly("a"), b=hourly("b"))
    second = followed.commit("change b", b=hourly("b", description="x"))
    followed.commit("unrelated")
    followed.pass_()
    assert (followed.changed_in("a"), followed.changed_in("b")) == (first, second)
    assert followed.changes() == [
        ("unrelated", (), (), ()),
        ("change b", ("b",), (), ()),
        ("add two", ("a",), (), ()),
    ]


def test_each_commit_between_two_passes_is_recorded_with_what_it_changed(followed: Followed) -> None:
    first = followed.commit("add", a=hourly("a"), b=hourly("b"))
    followed.pass_()
    second = followed.commit("change a", a=hourly("a", description="x"))
    followed.commit("remove b", b=None)
    third = followed.commit("add c", c=hourly("c"))
    followed.pass_()
    assert followed.changed_in("a") == second
    assert followed.changed_in("c") == third
    assert followed.changes()[:3] == [
        ("add c", ("c",), (), ()),
        ("remove b", (), (), ("b",)),
        ("change a", (), ("a",), ()),
    ]
    assert followed.removed_in("b") not in (None, first, third)
    assert followed.history()[0].author == "Ada"


def test_a_deployment_that_shares_its_file_keeps_its_commit(followed: Followed) -> None:
    first = followed.commit("add", both=f"{hourly('a')}---\n{hourly('b')}")
    followed.pass_()
    second = followed.commit("change a", both=f"{hourly('a', description='x')}---\n{hourly('b')}")
    followed.pass_()
    assert (followed.changed_in("a"), followed.changed_in("b")) == (second, first)


def test_defaults_in_the_project_file_change_deployments(followed: Followed) -> None:
    followed.commit("add", a=hourly("a"))
    followed.pass_()
    followed.repository.write("controller.yaml", "defaults: {tags: [x]}\n")
    second = followed.commit("tags for all")
    followed.pass_()
    assert followed.changed_in("a") == second
    assert followed.changes()[0] == ("tags for all", (), ("a",), ())


def test_an_approved_deletion_names_the_commit_that_removed_the_file(followed: Followed) -> None:
    """The deletions are withheld, and other commits follow before they are approved."""
    names = [f"d{number}" for number in range(20)]
    followed.commit("add", **{name: hourly(name) for name in names})
    followed.pass_()
    removal = followed.commit("remove all but one", **dict.fromkeys(names[1:], None))
    followed.pass_()
    followed.commit("later")
    followed.pass_()
    withheld = followed.world.reconciler.run_pass(is_requested=True).status.withheld
    assert withheld is not None
    with followed.world.store.write() as tx:
        from controller.store import source_status

        source_status.approve(tx, withheld.digest)
    followed.pass_(is_requested=True)
    assert {followed.removed_in(name) for name in names[1:]} == {removal}
    assert [(one.subject, one.removed.count) for one in followed.history()] == [
        ("later", 0),
        ("remove all but one", 19),
        ("add", 0),
    ]


def test_a_new_revision_costs_one_process_more_and_an_old_one_none(followed: Followed) -> None:
    followed.commit("add", a=hourly("a"))
    followed.pass_()
    assert followed.pass_() == 0
    followed.commit("unrelated")
    calls: list[tuple[str | None, int]] = []
    original = followed.source.commits

    def counted(revision: str, since: str | None, limit: int) -> object:
        calls.append((since, limit))
        return original(revision, since, limit)

    followed.source.commits = counted  # type: ignore[method-assign,assignment]
    followed.pass_()
    assert len(calls) == 1
    followed.pass_(is_requested=True)
    assert len(calls) == 1


def test_a_state_of_an_earlier_version_is_filled_in_after_a_restart(followed: Followed) -> None:
    first = followed.commit("add", a=hourly("a"))
    followed.pass_()
    with followed.world.store.write() as tx:
        tx.connection.exec_driver_sql("UPDATE inventory SET changed_in = NULL")
        tx.connection.exec_driver_sql("DELETE FROM commits")
    followed.world.restart(source=followed.source)
    followed.pass_()
    assert followed.changed_in("a") == first
    assert [one.subject for one in followed.history()] == ["add"]


def test_a_rewritten_history_is_recorded_from_its_new_commits(followed: Followed) -> None:
    followed.commit("one", a=hourly("a"))
    followed.pass_()
    followed.commit("two", a=hourly("a", description="x"))
    followed.pass_()
    followed.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    third = followed.commit("other two", a=hourly("a", description="y"))
    followed.pass_()
    assert followed.changed_in("a") == third
    assert [one.subject for one in followed.history()] == ["other two", "two", "one"]


def test_old_commits_are_deleted_unless_a_deployment_needs_them(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "MAX_RECORDS", 3)
    first = followed.commit("add", a=hourly("a"))
    followed.pass_()
    for number in range(6):
        followed.commit(f"later {number}")
        followed.pass_()
    assert [one.subject for one in followed.history()] == ["later 5", "later 4", "later 3", "add"]
    assert followed.changed_in("a") == first
