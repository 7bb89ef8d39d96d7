"""A controller that waits for running flows before it stops: who triggers a run learns that it starts later."""

from pathlib import Path

from tests.conftest import wait_until
from tests.unit.api.conftest import Served

NOTE = "The controller is stopping and starts no more runs; the next controller will start this run."


def trigger(served: Served, name: str, **parameters: str) -> dict[str, str | None]:
    answer = served.post(f"/api/v1/deployments/{name}/runs", {"parameters": parameters})
    assert answer.status == 201, answer
    triggered: dict[str, str | None] = answer.json()
    return triggered


def test_a_run_that_only_the_next_controller_starts_says_so(fresh: Served, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running = trigger(fresh, "wait", path=str(go))
    assert running["note"] is None
    wait_until(lambda: fresh.get(f"/api/v1/runs/{running['run_id']}").json()["state"] == "running")
    assert not fresh.controller._engine.drain(0)
    later = trigger(fresh, "add")
    assert (later["state"], later["note"]) == ("pending", NOTE)
    session = fresh.log_in()
    assert NOTE in fresh.get(f"/runs/{later['run_id']}", Cookie=session).text
    assert NOTE not in fresh.get(f"/runs/{running['run_id']}", Cookie=session).text
    go.touch()
