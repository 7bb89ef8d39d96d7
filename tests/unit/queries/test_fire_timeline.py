"""The timeline counts the fire times of many deployments in one background thread at a time."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from controller.model.schedules import Interval, Schedule
from controller.queries.fire_timeline import FiringDeployment, Timeline
from tests.conftest import ManualClock, wait_until

HOUR = timedelta(hours=1)
DEPLOYMENTS: list[FiringDeployment] = [("x", (Schedule(id="x", rule=Interval(every=HOUR)),), None)] * 501


class GatedClock(ManualClock):
    """A manual clock that stops a count at its beginning, and whose monotonic time advances as well."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[threading.Event] = []
        self.is_gated = False

    def monotonic(self) -> float:
        return self.elapsed()

    def now(self) -> datetime:
        if self.is_gated:
            gate = threading.Event()
            self.gates.append(gate)
            assert gate.wait(60)
        return super().now()


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_a_first_count_that_ends_late_does_not_allow_a_second_background_count() -> None:
    before = threading.enumerate()
    clock = GatedClock()
    timeline = Timeline(clock)
    clock.is_gated = True
    late = in_thread(lambda: timeline.upcoming(DEPLOYMENTS))
    wait_until(lambda: len(clock.gates) == 1)
    clock.is_gated = False
    assert timeline.upcoming(DEPLOYMENTS).frequent  # another first count, which ends sooner
    clock.turn(HOUR)
    clock.is_gated = True
    assert timeline.upcoming(DEPLOYMENTS).frequent  # outdated: this starts a count in the background
    wait_until(lambda: len(clock.gates) == 2)
    clock.gates[0].set()
    late.join()
    clock.turn(timedelta(days=365))
    assert timeline.upcoming(DEPLOYMENTS).frequent
    running = [thread for thread in threading.enumerate() if thread.name == "timeline" and thread not in before]
    clock.is_gated = False
    wait_until(lambda: len(clock.gates) >= len(running) + 1)
    for gate in clock.gates:
        gate.set()
    for thread in running:
        thread.join()
    assert len(running) == 1
