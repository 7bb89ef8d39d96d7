"""The texts of the events about holds of a deployment."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controller.operations.holds import end_expired_holds, hold_deployment, resume_deployment
from controller.store import events
from tests.unit.runs.conftest import World

UP = "name: up\ncommand: ['true']\n"


@pytest.mark.parametrize(
    ("triggers", "held"),
    [
        ("", "the deployment"),
        ("after: up\n", "the upstream triggers"),
        ("after: up\nschedule: {interval: 1h}\n", "the schedules"),
        (
            "on: [{files: {path: /srv}}, {webhook: {name: a, secret: {env: A}}}]\n",
            "the file triggers and webhooks",
        ),
    ],
)
def test_a_hold_names_the_triggers_that_it_affects(world: World, triggers: str, held: str) -> None:
    world.declare(up=UP, a=f"name: a\ncommand: ['true']\n{triggers}")
    hold_deployment(world.operations, "a", "maintenance", None, author="me")
    resume_deployment(world.operations, "a", author="me")
    with world.store.read() as tx:
        messages = [event.message for event in events.latest(tx, 2)]
    assert sorted(messages) == [f"me held {held}: maintenance", f"me resumed {held}."]


def test_the_end_of_a_hold_announces_the_due_times_that_were_missed(world: World) -> None:
    world.declare(up=UP, a="name: a\ncommand: ['true']\nschedule: {interval: 1h}\n")
    until = world.clock.now() + timedelta(hours=2)
    hold_deployment(world.operations, "a", "maintenance", until, author="me")
    hold_deployment(world.operations, "up", "maintenance", None, author="me")
    announced: list[str] = []
    context = replace(world.operations, notify_due=announced.append)
    end_expired_holds(context)
    assert announced == []
    world.clock.turn(timedelta(hours=2))  # the engine may have looked for expired holds just before
    end_expired_holds(context)
    assert announced == ["a"]
