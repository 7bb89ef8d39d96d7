"""A stop signal that arrives while a controller prepares to execute itself again is not lost."""

import signal
from collections.abc import Iterator

import pytest

from controller.app.stop_signal import StopSignal


@pytest.fixture
def stop_signal() -> Iterator[StopSignal]:
    """Catches SIGUSR1 and SIGUSR2, of which this process ignores the second one."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    yield StopSignal(signal.SIGUSR1, signal.SIGUSR2)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)


def test_a_failure_is_no_request_to_end_the_process(stop_signal: StopSignal) -> None:
    stop_signal.fail()
    assert stop_signal.wait()
    assert not stop_signal.release()


def test_a_signal_after_a_failure_is_one(stop_signal: StopSignal) -> None:
    stop_signal.fail()
    assert stop_signal.wait()
    signal.raise_signal(signal.SIGUSR1)
    assert stop_signal.release()


def test_so_are_a_signal_before_a_failure_and_the_request_of_a_user(stop_signal: StopSignal) -> None:
    signal.raise_signal(signal.SIGUSR1)
    stop_signal.clear()  # as before draining
    stop_signal.fail()
    assert stop_signal.wait()
    assert stop_signal.release()
    user = StopSignal()
    user.set()
    assert user.release()


def test_signals_end_the_process_again_unless_they_were_ignored(stop_signal: StopSignal) -> None:
    stop_signal.release()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
