"""The cost of a pass depends on the change only, and a thousand passes leak nothing.

The tests count processes, blobs and tree entries read, rows written, and jobs touched. They do not measure time.
"""

import gc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.sources.git import GitSource
from tests.conftest import GitRepository
from tests.executed_lines import count_lines
from tests.leftovers import children, open_files
from tests.thoroughness import scaled
from tests.unit.reconcile.conftest import World, hourly

MANY = 4000
TABLES = ("inventory", "source", "events", "passes", "occurrences", "holds", "runs")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one pass."""

    processes: int
    entries: int
    blobs: int
    rows: dict[str, int]
    jobs: set[str]


class Scale:
    """A world that follows a repository. Each commit is written with one `git fast-import`."""

    def __init__(self, world: World, repository: GitRepository, exports: Path) -> None:
        self.world = world
        self.repository = repository
        self.source = GitSource(repository.path, ref=None, path="deployments", exports=exports)
        self.commits = 0
        world.restart(source=self.source)
        with world.store.write() as tx:
            tx.connection.exec_driver_sql("CREATE TABLE written (name TEXT)")
            for table in TABLES:
                for change in ("INSERT", "UPDATE", "DELETE"):
                    tx.connection.exec_driver_sql(
                        f"CREATE TRIGGER count_{table}_{change} AFTER {change} ON {table} "
                        f"BEGIN INSERT INTO written VALUES ('{table}'); END"
                    )

    def commit(self, **files: str | None) -> None:
        """Commit `deployments/<name>.yaml`, or its removal with None."""
        script = ["commit refs/heads/main\ncommitter A <a@localhost> 1700000000 +0000\ndata 1\nx\n"]
        if self.commits:
            script.append("from refs/heads/main^0\n")
        for name, text in files.items():
            path = f"deployments/{name}.yaml"
            script.append(f"D {path}\n" if text is None else f"M 644 inline {path}\ndata {len(text)}\n{text}\n")
        self.repository.git("fast-import", "--quiet", stdin="".join(script).encode())
        self.commits += 1

    def pass_(self, *, is_requested: bool = False) -> Cost:
        """Make a pass and return its cost."""
        work, before = self.source.work, dict(self.world.projected)
        spent = (work.processes, work.entries, work.blobs)
        with self.world.store.write() as tx:
            tx.connection.exec_driver_sql("DELETE FROM written")
        self.world.reconciler.run_pass(is_requested=is_requested)
        with self.world.store.read() as tx:
            rows = Counter(tx.connection.exec_driver_sql("SELECT name FROM written").scalars())
        after = self.world.projected
        touched = {name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)}
        return Cost(
            processes=work.processes - spent[0],
            entries=work.entries - spent[1],
            blobs=work.blobs - spent[2],
            rows=dict(rows),
            jobs=touched,
        )


@pytest.fixture
def scale(world: World, repository: GitRepository, tmp_path: Path) -> Scale:
    return Scale(world, repository, tmp_path / "exports")


def documents(count: int) -> dict[str, str | None]:
    return {f"d{number}": hourly(f"d{number}") for number in range(count)}


def costs(scale: Scale, count: int) -> list[Cost]:
    """Return the costs of an edit, a creation, a deletion, a rename, an error, its repair, a move, and no change."""
    scale.commit(**documents(count))
    first = scale.pass_()
    assert len(first.jobs) == first.rows["inventory"] == count
    found = []
    for files in (
        {"d7": hourly("d7", description="new")},
        {"new": hourly("new")},
        {"d8": None},
        {"d9": None, "other": hourly("other", renamed_from="d9")},
        {"d7": "name: [\n"},
        {"d7": hourly("d7")},
        {"d7": None, "moved": hourly("d7")},
        {},
    ):
        scale.commit(**files)
        found.append(scale.pass_())
    return [*found, scale.pass_()]


def test_the_cost_of_a_pass_depends_on_the_change_only(scale: Scale) -> None:
    change, create, delete, rename, broken, repaired, moved, empty, nothing = costs(scale, MANY)
    status = {"source": 1, "passes": 1}
    assert (change.rows, change.jobs) == ({"inventory": 1, "events": 1, **status}, {"d7"})
    # A creation also removes a tombstone of the same name, which writes no row if there is none.
    assert (create.rows, create.jobs) == ({"inventory": 1, "events": 1, **status}, {"new"})
    assert (delete.rows, delete.jobs) == ({"inventory": 1, "events": 1, **status}, {"d8"})
    assert rename.rows["inventory"] == 2
    assert rename.jobs == {"d9", "other"}
    assert (broken.rows["inventory"], broken.jobs) == (1, {"d7"})
    assert (repaired.rows["inventory"], repaired.jobs) == (1, {"d7"})
    assert (moved.rows, moved.jobs) == ({"inventory": 1, **status}, {"d7"})
    assert (empty.rows, empty.jobs) == (status, set())
    assert (nothing.rows, nothing.jobs, nothing.processes) == ({}, set(), 0)
    # The code of the last valid version is kept: the whole commit is exported, once.
    assert broken.blobs == MANY + 1
    for cost in (change, create, delete, rename, repaired, moved, empty):
        assert cost.processes <= 8
        assert cost.entries <= 4  # one of them is a controller.yaml in the folder, which would be ignored
        assert cost.blobs <= 2


def test_the_first_pass_reads_each_file_once_and_the_second_reads_none(scale: Scale) -> None:
    scale.commit(**documents(MANY))
    first, second = scale.pass_(), scale.pass_(is_requested=True)
    assert (first.entries, first.blobs, first.rows["inventory"]) == (MANY, MANY, MANY)
    assert (second.blobs, second.rows, second.jobs) == (0, {"source": 1}, set())


def test_a_pass_does_nothing_for_each_other_deployment(scale: Scale) -> None:
    counts = []
    for count in (10, MANY):
        scale.commit(**documents(count))
        scale.pass_()
        same = []
        for number in range(3):
            scale.commit(d7=hourly("d7", description=f"{count} {number}"))
            same.append(count_lines(scale.pass_))
        counts.append(min(same))
    assert counts[1] - counts[0] < MANY / 10


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def test_many_passes_leak_nothing(scale: Scale, caplog: pytest.LogCaptureFixture) -> None:
    """Every tenth pass finds a commit that adds a deployment, deletes the last one, and sometimes breaks a third."""
    scale.commit(base=hourly("base"), n0=hourly("n0"))
    # Files and processes of earlier tests may be closed or end during this test.
    files, processes = open_files(), children()
    held: set[tuple[str, str]] = set()
    count = 0
    for number in range(1, scaled(2000) + 1):
        if number % 10 == 0:
            last, new = f"n{number // 10 - 1}", f"n{number // 10}"
            bad = "name: [\n" if number % 20 else hourly("base")
            scale.commit(**{last: None, new: hourly(new)}, base=bad)
        scale.world.reconciler.run_pass()
        caplog.clear()
        if number == 200:
            held, count = open_files() - files, objects()
    assert open_files() - files <= held
    assert children() <= processes
    # A deleted deployment has many objects, and at least 20 are deleted after the first count. Some caches still grow.
    assert objects() - count < 500
