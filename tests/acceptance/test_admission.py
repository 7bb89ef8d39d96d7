"""Queues, retries, cancelling and backfills under a real controller, by the command line alone."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance


def test_runs_in_a_full_queue_wait_and_run_one_after_another(
    repository: Repository, running: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    repository.write("controller.yaml", "queues: {etl: {limit: 1}}\n")
    for name in ("one", "two"):
        repository.write(f"deployments/{name}.yaml", f"name: {name}\ncommand: [sh, -c, '{script}']\nqueue: etl\n")
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    first, second = (repository.tell("trigger", name)["run_id"] for name in ("one", "two"))
    until(lambda: repository.tell("runs", "show", first)["state"] == "running", "the first run")
    until(lambda: repository.tell("runs", "show", second)["waiting"] == "queue etl is full (1 of 1)", "the reason")
    gate.touch()
    assert repository.tell("runs", "watch", second)["state"] == "succeeded"
    ended, began = repository.tell("runs", "show", first), repository.tell("runs", "show", second)
    assert ended["finished_at"] <= began["started_at"]


def test_a_failed_flow_is_retried_and_a_running_one_can_be_cancelled(
    repository: Repository, running: Start, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    repository.write(
        "deployments/flaky.yaml",
        f"name: flaky\ncommand: [sh, -c, '[ -e {mark} ] || {{ touch {mark}; exit 1; }}']\n"
        "retries: {limit: 1, delay: 1s}\n",
    )
    repository.write("deployments/long.yaml", "name: long\ncommand: [sleep, '600']\nretries: {limit: 3}\n")
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    run = repository.tell("trigger", "flaky", "--wait")
    assert (run["state"], run["attempt"], run["attempts"]) == ("succeeded", 2, 2)
    long = repository.tell("trigger", "long")["run_id"]
    until(lambda: repository.tell("runs", "show", long)["state"] == "running", "the long run")
    repository.tell("runs", "cancel", long, "--reason", "enough")
    watched = repository.ask("runs", "watch", long, "-o", "json")
    assert watched.code == 1
    assert (watched.json()["state"], watched.json()["reason"]) == ("cancelled", "enough")
    assert repository.tell("runs", "cancel", long) == {"run_id": long, "state": "cancelled"}


def test_a_backfill_runs_each_due_time_of_a_past_range_once(repository: Repository, running: Start) -> None:
    repository.write(
        "deployments/daily.yaml",
        "name: daily\ncommand: [sh, -c, 'echo $CONTROLLER_SCHEDULED_FOR']\nschedule: {cron: '0 3 * * *'}\n",
    )
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    arguments = ("backfill", "daily", "--from", "2026-06-01T00:00:00Z", "--to", "2026-06-03T23:00:00Z")
    made = repository.tell(*arguments)["run_ids"]
    assert len(made) == 3
    for run_id in made:
        assert repository.tell("runs", "watch", run_id)["trigger"] == "backfill"
    assert repository.tell(*arguments)["run_ids"] == []
    rows = repository.tell("occurrences", "daily", "--until", "2026-06-04T00:00:00Z")
    assert [(row["outcome"], row["run_id"]) for row in rows] == [("run", run_id) for run_id in reversed(made)]
