"""Environments that nothing names are removed after 14 days without use; their rows stay while runs name them."""

from datetime import timedelta
from pathlib import Path

from controller.model.python_environments import PythonEnvironment, PythonState, PythonSummary
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.python_environments import PythonEnvironments
from controller.store import Store, runs
from controller.store import python_environments as table
from tests.conftest import NOW, ManualClock, wait_until
from tests.package_index import CountedUv, PackageIndex
from tests.unit.python_environments.conftest import Make, requirements

TWO_WEEKS = timedelta(days=14, seconds=1)


def directories(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "python").iterdir() if len(path.name) == 64}


def insert_run(store: Store, environment: PythonEnvironment, state: RunState) -> None:
    run = Run(
        id=RunId("run-1"),
        deployment="nightly",
        state=state,
        trigger=Trigger.MANUAL,
        created_at=NOW,
        revision="r",
        file="a.yaml",
        spec_digest="sha256:1",
        python=PythonSummary(digest=environment.digest, declared_at=environment.declared_at),
    )
    with store.write() as tx:
        runs.insert_all(tx, [run])


def test_an_unused_environment_is_removed_with_its_rows_and_its_log(
    environments: PythonEnvironments, index: PackageIndex, clock: ManualClock, uv: CountedUv, tmp_path: Path
) -> None:
    kept, unused = (requirements(index.add("acme", version)) for version in ("1.0", "2.0"))
    kept_digest = environments.build(kept).digest
    environments.build(unused)
    environments.collect([kept.digest], clock.turn(timedelta(days=13)))
    assert len(directories(tmp_path)) == 2
    environments.collect([kept.digest], clock.turn(timedelta(days=2)))
    assert directories(tmp_path) == {kept_digest}
    assert environments.find(unused.digest) is None
    assert environments.find_runtime(unused) is None
    assert [path.stem for path in (tmp_path / "python" / "logs").iterdir()] == [kept.digest]
    assert uv.count("cache prune") == 1


def test_a_use_starts_the_time_again(
    environments: PythonEnvironments, index: PackageIndex, clock: ManualClock, tmp_path: Path
) -> None:
    request = requirements(index.add("acme", "1.0"))
    environments.build(request)
    clock.turn(timedelta(days=13))
    assert environments.find_runtime(request) is not None
    environments.collect([], clock.turn(timedelta(days=13)))
    assert len(directories(tmp_path)) == 1


def test_two_requests_of_one_environment_keep_it(
    environments: PythonEnvironments, index: PackageIndex, clock: ManualClock, tmp_path: Path
) -> None:
    pin = index.add("acme", "1.0")
    first, second = requirements(pin), requirements("# the same", pin)
    environments.build(first)
    environments.build(second)
    environments.collect([second.digest], clock.turn(TWO_WEEKS))
    assert len(directories(tmp_path)) == 1
    assert environments.find_runtime(second) is not None


def test_an_unfinished_run_keeps_its_environment(
    environments: PythonEnvironments, index: PackageIndex, clock: ManualClock, store: Store, tmp_path: Path
) -> None:
    environment = environments.build(requirements(index.add("acme", "1.0")))
    insert_run(store, environment, RunState.RUNNING)
    environments.collect([], clock.turn(TWO_WEEKS))
    assert directories(tmp_path) == {environment.digest}


def test_a_finished_run_keeps_the_rows_and_with_them_the_lock(
    environments: PythonEnvironments, index: PackageIndex, clock: ManualClock, store: Store, tmp_path: Path
) -> None:
    index.add("acme", "1.0")
    request = requirements("acme")
    environment = environments.build(request)
    insert_run(store, environment, RunState.SUCCEEDED)
    environments.collect([], clock.turn(TWO_WEEKS))
    assert directories(tmp_path) == set()
    assert environments.find_runtime(request) is None
    with store.read() as tx:
        recorded = table.find_by_digest(tx, str(environment.digest))
    assert recorded is not None
    assert (recorded.state, recorded.reason, recorded.packages) == (PythonState.WAITING, "Removed", {"acme": "1.0"})
    index.add("acme", "2.0")
    assert environments.build(request).packages == {"acme": "1.0"}


def test_the_thread_collects_without_delaying_its_caller(
    make: Make, index: PackageIndex, clock: ManualClock, tmp_path: Path
) -> None:
    environments = make()
    environments.build(requirements(index.add("acme", "1.0")))
    environments.start()
    environments.collect([], clock.turn(TWO_WEEKS))
    wait_until(lambda: directories(tmp_path) == set())


def test_a_directory_without_a_row_is_removed(environments: PythonEnvironments, tmp_path: Path) -> None:
    directory = tmp_path / "python" / ("c" * 64)
    directory.mkdir(parents=True)
    (directory / ".ready").write_text("{}", encoding="utf-8")
    environments.collect([], NOW)
    assert directories(tmp_path) == set()
