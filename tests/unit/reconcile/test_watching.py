"""The loss and the recovery of file watching are each reported once."""

from controller.store import source_status
from tests.unit.reconcile.conftest import World, hourly


def problem(world: World) -> str | None:
    with world.store.read() as tx:
        status = source_status.find(tx)
    assert status is not None
    return status.watch_problem


def watch_events(world: World) -> list[str]:
    return [event.message for event in world.events() if event.reason in ("WatchingFailed", "Watching")]


def test_failed_and_restored_watching_are_each_reported_once(world: World) -> None:
    world.put(a=hourly("a"))
    for _ in range(3):
        world.reconciler.record_watching("no inotify watch is left")
    assert problem(world) == "no inotify watch is left"
    world.put(b=hourly("b"))
    assert problem(world) == "no inotify watch is left"
    for _ in range(3):
        world.reconciler.record_watching(None)
    assert problem(world) is None
    assert watch_events(world) == [
        "Changes are detected by polling only: no inotify watch is left.",
        "File watching works again.",
    ]


def test_a_watch_problem_before_the_first_pass_is_recorded_with_it(world: World) -> None:
    world.reconciler.record_watching("no inotify watch is left")
    with world.store.read() as tx:
        assert source_status.find(tx) is None
    world.put(a=hourly("a"))
    assert problem(world) == "no inotify watch is left"
