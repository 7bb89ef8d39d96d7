"""Pauses grow with consecutive failures, and fewer and fewer of these are logged."""

import pytest

from controller.backoff import Backoff
from controller.errors import ResourceError, SourceError, shortage
from tests.conftest import ManualClock


class StoppedClock(ManualClock):
    """Its monotonic time does not change either."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


def test_each_failure_doubles_the_pause_up_to_the_longest_and_a_success_ends_it() -> None:
    pauses = Backoff(StoppedClock(), first=1, longest=10)
    seen = []
    for _ in range(6):
        pauses.fail("full")
        seen.append((pauses.seconds, pauses.remaining))
    assert seen == [(1, 1), (2, 2), (4, 4), (8, 8), (10, 10), (10, 10)]
    assert pauses.succeed()
    assert not pauses.succeed()
    assert (pauses.seconds, pauses.remaining, pauses.failures) == (0, 0, 0)


def test_repeated_failures_are_logged_less_and_less_often_and_a_new_cause_at_once() -> None:
    pauses = Backoff(StoppedClock(), first=1, longest=10)
    told = [number for number in range(1, 101) if pauses.fail("full")]
    assert told == [1, 2, 4, 8, 16, 32, 64]
    assert pauses.fail("read-only")


@pytest.mark.parametrize(
    ("number", "words", "without_disk"),
    [
        (24, "no file descriptors", "no file descriptors"),
        (23, "no file descriptors on this machine", "no file descriptors on this machine"),
        (12, "no memory", "no memory"),
        (11, "no more processes or threads are allowed", "no more processes or threads are allowed"),
        (28, "no space left on the disk", None),
        (122, "the disk quota is used up", None),
        (30, "the disk is read-only", None),
        (5, "the disk reports I/O errors", None),
        (13, None, None),
        (2, None, None),
    ],
)
def test_a_shortage_is_recognized_by_its_error_number(number: int, words: str | None, without_disk: str | None) -> None:
    error = OSError(number, "")
    assert (shortage(error), shortage(error, with_disk=False)) == (words, without_disk)


def test_a_shortage_is_recognized_as_the_cause_of_another_error() -> None:
    error = SourceError("git could not read the repository.")
    error.__cause__ = OSError(24, "Too many open files")
    assert shortage(error) == "no file descriptors"
    assert shortage(ResourceError("no memory")) == "no memory"
    assert shortage(SourceError("gone")) is None
