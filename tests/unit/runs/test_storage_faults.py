"""While its state cannot be written, the engine reports it, does not spin, and continues afterwards."""

import logging

import pytest

from controller.model.runs import RunState
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, one_start

pytestmark = pytest.mark.integration

REFUSE = """
CREATE TRIGGER refuse BEFORE UPDATE ON runs WHEN NEW.state = 'succeeded'
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
"""


@one_start
def test_an_outcome_that_cannot_be_written_is_retried_with_backoff(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "controller")
    with world.store.write() as tx:
        tx.connection.exec_driver_sql(REFUSE)
    world.declare(a="name: a\ncommand: ['true']\n")
    world.start()
    run = world.trigger("a")

    def refusals() -> int:
        return sum("disk is full" in str(vars(record).get("error")) for record in caplog.records)

    wait_until(lambda: refusals() >= 2)
    assert refusals() == 2
    assert world.find(run).state is RunState.RUNNING
    assert "Run succeeded" not in caplog.messages
    with world.store.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER refuse")
    assert world.wait(run).state is RunState.SUCCEEDED
    wait_until(lambda: caplog.messages.count("Run succeeded") == 1)
