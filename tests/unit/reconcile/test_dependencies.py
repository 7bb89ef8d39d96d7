"""A pass records which deployments depend on which, and marks those whose upstream deployment is not active."""

from datetime import timedelta

from controller.model.status import Condition, ConditionType, Event
from controller.store import dependencies
from tests.conftest import NOW
from tests.unit.reconcile.conftest import World, hourly


def stalled(world: World, name: str) -> list[Condition]:
    return [found for found in world.entries()[name].conditions if found.type is ConditionType.STALLED]


def recorded(world: World) -> dict[str, list[str]]:
    with world.store.read() as tx:
        return dependencies.find_all(tx)


def reported(world: World, reason: str) -> list[Event]:
    return [event for event in world.events() if event.reason == reason]


def test_the_dependencies_of_active_deployments_are_recorded(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b", after="a"), c=hourly("c", after="{deployments: [a, b], any: true}"))
    assert recorded(world) == {"b": ["a"], "c": ["a", "b"]}
    world.put(c=hourly("c", after="[{deployment: b, on: failed}]"))
    assert recorded(world) == {"b": ["a"], "c": ["b"]}
    world.put(b=hourly("b"), c=None)
    assert recorded(world) == {}


def test_a_deployment_is_stalled_while_its_upstream_is_not_active(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b", after="a"))
    assert stalled(world, "b") == []
    world.clock.turn(timedelta(hours=1))
    world.put(a=None)
    [condition] = stalled(world, "b")
    assert (condition.is_true, condition.reason) == (True, "UpstreamMissing")
    assert condition.message == "Waits for a, which is not active."
    assert condition.last_transition_time == NOW + timedelta(hours=1)
    assert world.entries()["b"].reason == "InvalidManifest"
    assert recorded(world) == {"b": ["a"]}
    assert [event.about for event in reported(world, "UpstreamMissing")] == ["b"]
    world.clock.turn(timedelta(hours=1))
    world.put(c=hourly("c"))
    world.put(d="name: d\ncommand: [a]\n")
    assert stalled(world, "b") == [condition]
    world.put(a=hourly("a"))
    assert stalled(world, "b") == []
    assert [event.about for event in reported(world, "UpstreamsActive")] == ["b"]


def test_an_upstream_that_was_never_valid_is_not_active(world: World) -> None:
    world.put(a="name: a\ncommand: 5\n", b=hourly("b", after="a"), c=hourly("c", after="[a, b]"))
    assert [condition.message for name in ("b", "c") for condition in stalled(world, name)] == [
        "Waits for a, which is not active.",
        "Waits for a, which is not active.",
    ]
    world.put(a=hourly("a"))
    assert stalled(world, "b") == stalled(world, "c") == []


def test_a_renamed_upstream_takes_its_dependants_along_when_they_name_it(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b", after="a"))
    world.put(a=hourly("a2", renamed_from="a"), b=hourly("b", after="a2"))
    assert recorded(world) == {"b": ["a2"]}
    assert stalled(world, "b") == []
    assert reported(world, "UpstreamMissing") == []
