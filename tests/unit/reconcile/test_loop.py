"""The loop makes one pass for a burst of changes, and a requested pass begins after the request."""

import errno
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.errors import SourceError, StoppingError
from controller.model.snapshots import Snapshot
from controller.reconcile.loop import Loop
from controller.sources.git import GitSource
from tests.conftest import GitRepository, wait_until
from tests.unit.reconcile.conftest import World, hourly

COMMITS = 300


class Counted(GitSource):
    """A source that counts its observations, each of which waits for `gate`."""

    def __init__(self, repo: Path, exports: Path) -> None:
        super().__init__(repo, ref=None, path="deployments", exports=exports)
        self.observations = 0
        self.arrived = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def observe(self) -> str:
        self.observations += 1
        self.arrived.set()
        assert self.gate.wait(60)
        return super().observe()


@pytest.fixture
def source(repository: GitRepository, tmp_path: Path) -> Counted:
    repository.commit({"deployments/a.yaml": hourly("a")})
    return Counted(repository.path, tmp_path / "exports")


def new_loop(world: World, source: Counted, *, on_failure: Callable[[], None]) -> Loop:
    return Loop(
        world.reconciler,
        source,
        clock=SystemClock(),
        interval=timedelta(hours=1),
        longest_retry=timedelta(hours=1),
        on_failure=on_failure,
    )


@pytest.fixture
def loop(world: World, source: Counted) -> Iterator[Loop]:
    """A loop whose first pass is done, and which makes further passes only after hints and requests."""
    world.restart(source=source)
    running = new_loop(world, source, on_failure=lambda: None)
    running.start()
    assert running.request_pass().result(60).error is None
    yield running
    source.gate.set()
    running.stop()
    assert running.failure is None


def commits(repository: GitRepository) -> list[str]:
    """Create `COMMITS` successive commits that the followed branch does not contain yet; return their ids."""
    script = [f"reset refs/heads/side\nfrom {repository.head()}\n"]
    for number in range(COMMITS):
        text = hourly("a", version=f"'{number}'")
        script.append(
            "commit refs/heads/side\ncommitter A <a@localhost> 1700000000 +0000\ndata 1\nx\n"
            f"M 644 inline deployments/a.yaml\ndata {len(text)}\n{text}\n"
        )
    repository.git("fast-import", "--quiet", stdin="".join(script).encode())
    return repository.git("rev-list", "--reverse", "HEAD..side").split()


def move(repository: GitRepository, ids: list[str]) -> None:
    """Move the branch along these commits, one by one."""
    script = "".join(f"start\nupdate refs/heads/main {commit}\ncommit\n" for commit in ids)
    repository.git("update-ref", "--stdin", stdin=script.encode())


def version(world: World) -> object:
    return world.entries()["a"].document.get("version")


def test_a_burst_of_commits_causes_few_passes_and_applies_the_newest(
    world: World, repository: GitRepository, source: Counted, loop: Loop
) -> None:
    ids = commits(repository)
    assert loop.request_pass().result(60).error is None
    before = source.observations
    move(repository, ids)
    wait_until(lambda: version(world) == str(COMMITS - 1))
    assert source.observations - before <= 10


def test_a_change_during_a_pass_causes_one_more_pass(
    world: World, repository: GitRepository, source: Counted, loop: Loop
) -> None:
    ids = commits(repository)
    assert loop.request_pass().result(60).error is None
    source.gate.clear()
    source.arrived.clear()
    loop.wake()
    assert source.arrived.wait(60)
    before = source.observations
    move(repository, ids[:-1])
    source.gate.set()
    move(repository, ids[-1:])
    wait_until(lambda: version(world) == str(COMMITS - 1))
    assert source.observations - before <= 2


def test_continuous_hints_neither_block_passes_nor_cause_many(source: Counted, loop: Loop) -> None:
    ended = threading.Event()
    hints = 0

    def hint() -> None:
        nonlocal hints
        while not ended.wait(0.001):
            hints += 1
            loop.wake()

    before = source.observations
    thread = threading.Thread(target=hint)
    thread.start()
    wait_until(lambda: source.observations >= before + 3)
    ended.set()
    thread.join()
    assert hints > 3 * 60


def test_a_requested_pass_begins_after_the_request(source: Counted, loop: Loop) -> None:
    source.gate.clear()
    source.arrived.clear()
    loop.wake()
    assert source.arrived.wait(60)
    before = source.observations
    requests = [loop.request_pass() for _ in range(5)]
    requests[0].cancel()
    assert not any(request.done() for request in requests[1:])
    source.gate.set()
    assert {id(request.result(60)) for request in requests[1:]} == {id(requests[1].result())}
    assert source.observations > before


def test_requests_to_a_stopping_loop_fail_at_once(source: Counted, loop: Loop) -> None:
    source.gate.clear()
    source.arrived.clear()
    request = loop.request_pass()
    assert source.arrived.wait(60)
    stopper = threading.Thread(target=loop.stop)
    stopper.start()
    assert isinstance(request.exception(60), StoppingError)
    source.gate.set()
    stopper.join(60)
    assert isinstance(loop.request_pass().exception(), StoppingError)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (RuntimeError("a fault"), "Internal error while reading the source: RuntimeError: a fault."),
        (RecursionError("too deep"), "Internal error while reading the source: RecursionError: too deep."),
        (
            OSError(errno.EMFILE, "Too many open files", "HEAD"),
            "The source can't be read at the moment: HEAD: no file descriptors.",
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "HEAD"),
            "The source can't be read at the moment: HEAD: Is a directory.",
        ),
    ],
)
def test_an_internal_error_in_the_source_keeps_the_active_deployments(
    world: World, source: Counted, fault: Exception, message: str
) -> None:
    class Faulty(GitSource):
        def observe(self) -> str:
            raise fault

    world.restart(source=source)
    assert world.reconciler.run_pass().error is None
    world.restart(source=Faulty(world.root, ref=None, path="deployments", exports=world.root / "exports"))
    loop = new_loop(world, source, on_failure=lambda: None)
    loop.start()
    result = loop.request_pass().result(60)
    loop.stop()
    assert loop.failure is None
    assert result.error is not None
    assert result.error.message == message
    assert set(world.entries()) == {"a"}


def test_a_commit_that_cannot_be_read_is_the_one_that_was_attempted_last(
    world: World, source: Counted, repository: GitRepository
) -> None:
    class Faulty(GitSource):
        def read(self, revision: str) -> Snapshot:
            raise SourceError(f"git could not read {revision}.")

    world.restart(source=source)
    applied = world.reconciler.run_pass().status
    repository.commit({"deployments/a.yaml": hourly("a", version="2")})
    world.restart(source=Faulty(repository.path, ref=None, path="deployments", exports=world.root / "exports"))
    failed = world.reconciler.run_pass().status
    assert failed.revision == failed.last_applied_revision == applied.revision
    assert failed.last_attempted_revision not in (None, applied.revision)
    world.restart(source=source)
    repaired = world.reconciler.run_pass().status
    assert repaired.revision == repaired.last_attempted_revision == failed.last_attempted_revision


def test_recorded_deployments_have_jobs_while_the_first_observation_blocks(
    world: World, source: Counted, loop: Loop
) -> None:
    loop.stop()
    world.restart(source=source)
    world.projected.clear()
    source.gate.clear()
    source.arrived.clear()
    restarted = new_loop(world, source, on_failure=lambda: None)
    restarted.start()
    assert source.arrived.wait(60)
    assert world.projected.keys() == {"a"}
    source.gate.set()
    restarted.stop()
