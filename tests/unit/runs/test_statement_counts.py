"""The number of SQL statements does not grow with the number of deployments that are due."""

from datetime import timedelta

import pytest

from tests.unit.runs.conftest import World
from tests.unit.runs.counting import counted

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.parametrize("start", ["cold"])


def hourly(name: str, extra: str = "") -> str:
    return f"name: {name}\ncommand: ['true']\nschedules: [{{cron: '0 * * * *'}}]\n{extra}"


@pytest.mark.parametrize(
    ("extra", "hours"), [("", 1), ("overlap: queue\n", 1), ("suspend: true\n", 1), ("", 3)], ids=str
)
def test_due_times_of_many_deployments_are_decided_with_as_many_statements_as_one(
    world: World, extra: str, hours: int
) -> None:
    names = [f"d{number:03}" for number in range(300)]
    world.declare(many="---\n".join(hourly(name, extra) for name in names))
    world.clock.turn(hours * HOUR)
    counts = []
    for due in (names[:1], names[1:]):
        with counted() as statements, world.store.write() as tx:
            created = world.admission.process_due(tx, due, world.clock.now())
        assert len(created) in (0, len(due))
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 12
