"""The thread of notifications calls its steps after commits and when they are due, and survives their failures."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from controller.errors import StateError
from controller.notify import notifier as module
from controller.notify.notifier import Notifier, Step
from controller.store import Store, incidents
from tests.conftest import ManualClock, wait_until

Start = Callable[..., Notifier]


class Steps:
    """A step that counts its calls, raises the next of `errors`, and wants to be called again at `due_at`."""

    def __init__(self) -> None:
        self.calls = 0
        self.errors: list[Exception] = []
        self.due_at: datetime | None = None

    def work(self, _: datetime) -> datetime | None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.due_at


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    store = Store.open(tmp_path / "state.db")
    yield tmp_path / "state.db"
    store.close()


@pytest.fixture
def start(database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start(*steps)` starts a notifier that polls often."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.01)
    started: list[Notifier] = []

    def start(*steps: Steps, clock: ManualClock | None = None) -> Notifier:
        named = [Step(name=f"step {number}", work=step.work) for number, step in enumerate(steps)]
        notifier = Notifier(named, database=database, clock=clock or ManualClock())
        started.append(notifier)
        notifier.start()
        return notifier

    yield start
    for notifier in started:
        notifier.stop()
        assert not notifier._thread.is_alive()


def commit(database: Path, number: int) -> None:
    store = Store.open(database)
    with store.write() as tx:
        incidents.save_cursor(tx, number)
    store.close()


def has_calls(step: Steps, count: int) -> bool:
    return step.calls >= count


def test_steps_are_called_at_the_start_and_after_each_commit(start: Start, database: Path) -> None:
    first, second = Steps(), Steps()
    start(first, second)
    wait_until(lambda: second.calls == 1)
    for number in (2, 3):
        commit(database, number)
        wait_until(partial(has_calls, second, number))
    assert first.calls == second.calls


def test_without_a_commit_no_step_is_called(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    polls: list[int] = []
    count = Notifier._count_commits

    def count_polls(notifier: Notifier) -> int | None:
        polls.append(1)
        return count(notifier)

    monkeypatch.setattr(Notifier, "_count_commits", count_polls)
    step = Steps()
    start(step)
    wait_until(lambda: len(polls) > 20)
    assert step.calls == 1


def test_a_step_is_called_again_when_it_is_due(start: Start) -> None:
    clock = ManualClock()
    step, other = Steps(), Steps()
    step.due_at = clock.now() + timedelta(minutes=5)
    start(step, other, clock=clock)
    wait_until(lambda: other.calls == 1)
    clock.turn(timedelta(minutes=5))
    wait_until(lambda: step.calls > 1)
    step.due_at = None
    assert other.calls == 1


def test_wake_calls_the_steps(start: Start) -> None:
    step = Steps()
    notifier = start(step)
    wait_until(lambda: step.calls == 1)
    notifier.wake()
    wait_until(lambda: step.calls == 2)


class LateWake(threading.Event):
    """An event that is set directly after the first wait has timed out."""

    has_timed_out = False

    def wait(self, timeout: float | None = None) -> bool:
        is_set = super().wait(timeout)
        if not (is_set or self.has_timed_out):
            self.has_timed_out = True
            self.set()
        return is_set


def test_wake_directly_after_the_poll_ended_is_not_lost(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    step = Steps()
    notifier = Notifier([Step(name="step", work=step.work)], database=database, clock=ManualClock())
    notifier._wakeup = LateWake()
    notifier.start()
    wait_until(lambda: step.calls == 2)
    notifier.stop()


@pytest.mark.parametrize("error", [StateError("The disk is full."), sqlite3.OperationalError("x"), KeyError("a bug")])
def test_a_failing_step_is_retried_and_delays_no_other(
    start: Start, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    failing, other = Steps(), Steps()
    failing.errors = [error, error, error]
    start(failing, other)
    wait_until(lambda: failing.calls == 4)
    assert other.calls >= 1
    wait_until(lambda: any("works again" in record.message for record in caplog.records))
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.__dict__["step"] for record in failures] == ["step 0", "step 0"]  # the first and the second of three
    assert all((record.exc_info is None) is isinstance(error, StateError) for record in failures)


def test_it_stops_without_waiting_for_the_next_poll(database: Path) -> None:
    step = Steps()
    notifier = Notifier([Step(name="step", work=step.work)], database=database, clock=ManualClock())
    notifier.start()
    wait_until(lambda: step.calls == 1)
    notifier.stop()
    assert not notifier._thread.is_alive()


def test_a_step_that_hangs_does_not_delay_the_stop(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.01)
    arrived, release = threading.Event(), threading.Event()

    def hang(_: datetime) -> None:
        arrived.set()
        release.wait(60)

    notifier = Notifier([Step(name="step", work=hang)], database=database, clock=ManualClock())
    notifier.start()
    assert arrived.wait(60)
    notifier.stop()
    assert notifier._thread.is_alive()
    release.set()
    notifier._thread.join(60)
