"""When the reconciler looks: a burst is one pass of the newest, whoever asks gets a pass that began afterwards."""

import errno
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.errors import StoppingError
from controller.reconcile import Loop
from controller.sources.git import GitSource
from tests.conftest import GitRepository, wait_until
from tests.unit.reconcile.conftest import World, hourly

COMMITS = 300


class Counted(GitSource):
    """Counts how often it is looked at, and waits at the gate each time."""

    def __init__(self, repo: Path, exports: Path) -> None:
        super().__init__(repo, ref=None, path="deployments", exports=exports)
        self.looks = 0
        self.arrived = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def observe(self) -> str:
        self.looks += 1
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
    """A loop that looks only at hints, with the first pass done."""
    world.restart(source=source)
    found = new_loop(world, source, on_failure=lambda: None)
    found.start()
    assert found.request_pass().result(60).error is None
    yield found
    source.gate.set()
    found.stop()
    assert found.failure is None


def commits(repository: GitRepository) -> list[str]:
    """So many commits, one after the other, that no branch leads to yet."""
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
    script = "".join(f"start\nupdate refs/heads/main {one}\ncommit\n" for one in ids)
    repository.git("update-ref", "--stdin", stdin=script.encode())


def version(world: World) -> object:
    return world.entries()["a"].document.get("version")


def test_a_burst_of_commits_is_few_passes_and_the_newest_wins(
    world: World, repository: GitRepository, source: Counted, loop: Loop
) -> None:
    ids = commits(repository)
    assert loop.request_pass().result(60).error is None
    before = source.looks
    move(repository, ids)
    wait_until(lambda: version(world) == str(COMMITS - 1))
    assert source.looks - before <= 10


def test_what_happens_during_a_pass_is_one_more_pass(
    world: World, repository: GitRepository, source: Counted, loop: Loop
) -> None:
    ids = commits(repository)
    assert loop.request_pass().result(60).error is None
    source.gate.clear()
    source.arrived.clear()
    loop.wake()
    assert source.arrived.wait(60)
    before = source.looks
    move(repository, ids[:-1])
    source.gate.set()
    move(repository, ids[-1:])
    wait_until(lambda: version(world) == str(COMMITS - 1))
    assert source.looks - before <= 2


def test_hints_that_never_end_put_no_pass_off_for_ever_and_make_few(source: Counted, loop: Loop) -> None:
    ended = threading.Event()
    hints = 0

    def hint() -> None:
        nonlocal hints
        while not ended.wait(0.001):
            hints += 1
            loop.wake()

    before = source.looks
    thread = threading.Thread(target=hint)
    thread.start()
    wait_until(lambda: source.looks >= before + 3)
    ended.set()
    thread.join()
    assert hints > 3 * 60


def test_a_pass_that_was_asked_for_began_after_the_question(source: Counted, loop: Loop) -> None:
    source.gate.clear()
    source.arrived.clear()
    loop.wake()
    assert source.arrived.wait(60)
    before = source.looks
    asked = [loop.request_pass() for _ in range(5)]
    asked[0].cancel()
    assert not any(one.done() for one in asked[1:])
    source.gate.set()
    assert {id(one.result(60)) for one in asked[1:]} == {id(asked[1].result())}
    assert source.looks > before


def test_whoever_asks_of_a_loop_that_ends_is_not_kept_waiting(source: Counted, loop: Loop) -> None:
    source.gate.clear()
    source.arrived.clear()
    asked = loop.request_pass()
    assert source.arrived.wait(60)
    stopper = threading.Thread(target=loop.stop)
    stopper.start()
    assert isinstance(asked.exception(60), StoppingError)
    source.gate.set()
    stopper.join(60)
    assert isinstance(loop.request_pass().exception(), StoppingError)


@pytest.mark.parametrize(
    ("fault", "words"),
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
def test_whatever_a_repository_does_to_its_reader_what_is_applied_stays(
    world: World, source: Counted, fault: Exception, words: str
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
    assert result.error.message == words
    assert set(world.entries()) == {"a"}


def test_what_is_recorded_has_its_jobs_while_the_first_look_at_the_source_takes_its_time(
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
