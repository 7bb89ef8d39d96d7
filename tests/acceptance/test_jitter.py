"""`jitter` under a real controller: runs keep their due times and start later."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance


def test_runs_keep_their_due_times_and_start_later_by_their_jitter(repository: Repository, running: Start) -> None:
    repository.write(
        "deployments/later.yaml",
        """
        name: later
        command: [sh, -c, 'echo "$CONTROLLER_SCHEDULED_FOR"']
        schedule: {id: x, interval: 3s, jitter: 2s}
        """,
    )
    repository.commit()
    running(repository)
    repository.wait_for_run("later", more=2)
    for time in instants(repository.tell("next", "later")["fire_times"]):
        assert time.second % 3 == 0
    assert repository.tell("deployments", "show", "later")["schedules"][0]["text"].endswith("up to 2 seconds later")
    runs = repository.runs("later", "succeeded")
    delays = set()
    for run in runs:
        times = [run[key] for key in ("scheduled_for", "created_at", "not_before", "started_at")]
        scheduled_for, created_at, not_before, started_at = instants(times)
        assert scheduled_for <= created_at
        assert not_before <= started_at
        delays.add(not_before - scheduled_for)
        assert instants(repository.ask("runs", "logs", run["id"]).out.splitlines()) == [scheduled_for]
    (delay,) = delays
    assert timedelta() < delay < timedelta(seconds=2)
    recorded = {run_id: datetime.fromisoformat(time) for time, _, run_id, _ in repository.ledger("later")}
    assert [recorded[run["id"]].replace(tzinfo=UTC) for run in runs] == instants([run["scheduled_for"] for run in runs])


def instants(texts: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in texts]
