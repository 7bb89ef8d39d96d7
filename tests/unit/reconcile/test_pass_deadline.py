"""A pass that does not finish in time is reported once, and so is its end."""

from datetime import timedelta
from pathlib import Path

from controller.queries.status import public_source
from controller.reconcile.pass_deadline import PassDeadline
from controller.settings import Location
from controller.store import source_status
from tests.conftest import ManualClock
from tests.unit.reconcile.conftest import World, hourly

DEADLINE = timedelta(minutes=2)
LOCATION = Location(repo=Path("/r"), path="deployments", ref=None, state_dir=Path("/s"))


class TurnedClock(ManualClock):
    """A manual clock whose monotonic time advances as well."""

    def monotonic(self) -> float:
        return self.elapsed()


def ready(world: World) -> tuple[str, str]:
    with world.store.read() as tx:
        status = source_status.find(tx)
    assert status is not None
    conditions = public_source(status, LOCATION).conditions
    [condition] = [condition for condition in conditions if condition.type == "Ready"]
    return condition.status, condition.reason


def overdue_events(world: World) -> list[str]:
    return [event.reason for event in world.events() if event.reason == "PassOverdue"]


def test_a_pass_beyond_its_deadline_makes_the_source_unknown_until_it_ends(world: World) -> None:
    world.put(a=hourly("a"))
    clock = TurnedClock()
    deadline = PassDeadline(world.store, clock, DEADLINE)
    with deadline.watch_pass():
        clock.turn(DEADLINE)
        deadline.check()
        assert ready(world) == ("True", "Applied")
        clock.turn(timedelta(seconds=1))
        for _ in range(3):
            deadline.check()
        assert ready(world) == ("Unknown", "PassOverdue")
    assert ready(world) == ("True", "Applied")
    assert overdue_events(world) == ["PassOverdue"]


def test_the_mark_of_a_pass_that_crashed_is_removed_by_the_next_pass(world: World) -> None:
    world.put(a=hourly("a"))
    with world.store.write() as tx:
        source_status.mark_overdue(tx, world.clock.now())
    assert ready(world) == ("Unknown", "PassOverdue")
    with PassDeadline(world.store, TurnedClock(), DEADLINE).watch_pass():
        pass
    assert ready(world) == ("True", "Applied")


def test_between_passes_nothing_is_overdue(world: World) -> None:
    world.put(a=hourly("a"))
    clock = TurnedClock()
    deadline = PassDeadline(world.store, clock, DEADLINE)
    with deadline.watch_pass():
        pass
    clock.turn(10 * DEADLINE)
    deadline.check()
    assert overdue_events(world) == []
