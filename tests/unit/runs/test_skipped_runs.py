"""Runs whose flow or command has nothing to do, with real processes."""

from datetime import timedelta

import pytest

from controller.model.runs import RunState
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, attempts, command, one_start

pytestmark = pytest.mark.integration


@one_start
def test_a_run_with_nothing_to_do_is_skipped_without_event_or_retry(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    rest = "retries: {limit: 3}\nschedule: {interval: 1h}\n"
    world.write("b.py", "from controller import Skip\ndef main(): raise Skip('no files')\n")
    world.declare(a=command("a", "exit 99", f"skip_exit_code: 99\n{rest}"), b=f"name: b\nflow: b.py:main\n{rest}")
    before = world.events()
    engine = world.start()
    with caplog.at_level("INFO"):
        world.clock.turn(timedelta(hours=1))
        for name in ("a", "b"):
            engine.notify_due(name)
        wait_until(lambda: len(world.all_runs()) == 2)
        ended = {run.deployment: world.wait(run) for run in world.all_runs()}
    outcomes = {name: (run.state, run.reason, run.exit_code, run.attempt) for name, run in ended.items()}
    assert outcomes == {
        "a": (RunState.SKIPPED, "exit code 99", 99, 1),
        "b": (RunState.SKIPPED, "no files", 0, 1),
    }
    assert world.events() == before
    for run in ended.values():
        [attempt] = attempts(world, run)
        assert (attempt.state, attempt.reason, attempt.exit_code) == (run.state, run.reason, run.exit_code)
        assert None not in (run.started_at, run.finished_at, attempt.started_at, attempt.finished_at)
    levels = [record.levelname for record in caplog.records if record.getMessage() == "Run skipped"]
    assert levels == ["INFO", "INFO"]
