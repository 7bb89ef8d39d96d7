"""Whether changes are watched for or only polled for is told once each time that it changes."""

from controller.store import source_status
from tests.unit.reconcile.conftest import World, hourly


def problem(world: World) -> str | None:
    with world.store.read() as tx:
        status = source_status.find(tx)
    assert status is not None
    return status.watch_problem


def told(world: World) -> list[str]:
    return [event.message for event in world.events() if event.reason in ("WatchingFailed", "Watching")]


def test_polling_is_told_once_and_so_is_watching_again(world: World) -> None:
    world.put(a=hourly("a"))
    for _ in range(3):
        world.reconciler.record_watching("no inotify watch is left")
    assert problem(world) == "no inotify watch is left"
    world.put(b=hourly("b"))
    assert problem(world) == "no inotify watch is left"
    for _ in range(3):
        world.reconciler.record_watching(None)
    assert problem(world) is None
    assert told(world) == [
        "Changes are detected by polling only: no inotify watch is left.",
        "File watching works again.",
    ]


def test_what_is_told_before_the_first_pass_is_recorded_with_it(world: World) -> None:
    world.reconciler.record_watching("no inotify watch is left")
    with world.store.read() as tx:
        assert source_status.find(tx) is None
    world.put(a=hourly("a"))
    assert problem(world) == "no inotify watch is left"
