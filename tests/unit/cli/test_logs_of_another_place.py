"""`controller runs logs` with a state on a server: the log may be in the state directory of another controller."""

from pathlib import Path

import pytest

from controller.model.runs import Attempt, Run, RunId, RunState, Trigger
from controller.store import Store, run_transitions, runs
from tests.conftest import NOW, GitRepository
from tests.postgresql import Server
from tests.unit.cli.conftest import Command

RUN = Run(
    id=RunId("01a22cdd-3b12-7000-a19b-6ae6fbd8125f"),
    deployment="a",
    state=RunState.PENDING,
    trigger=Trigger.MANUAL,
    created_at=NOW,
    revision="main@sha1:1",
    file="deployments/a.yaml",
    spec_digest="sha256:1",
)


def test_a_log_in_another_state_directory_is_not_shown_as_empty(
    command: Command,
    tmp_path: Path,
    postgresql_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    repository: GitRepository,
) -> None:
    url = postgresql_server.create_database("logs_of_another_place")
    monkeypatch.setenv("CONTROLLER_STATE_URL", url.text)
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    place = ("--repo", str(repository.path), "--state-dir", str(tmp_path / "state"))
    assert command("run", "--once", *place).code == 0
    attempt = Attempt(
        run_id=RUN.id, number=1, nonce="n", boot_id="b", state=RunState.LAUNCHING, place="far:/srv/state/runs"
    )
    store = Store.open(url)
    with store.write() as tx:
        runs.insert_all(tx, [RUN])
    assert command("runs", "logs", RUN.id, *place).code == 0
    with store.write() as tx:
        run_transitions.claim(tx, [attempt])
        run_transitions.start(tx, [attempt], NOW)
    store.close()
    answer = command("runs", "logs", RUN.id, *place)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"error: The log of run {RUN.id} is not in {tmp_path}/state/runs.\n"
        "hint: It is on host far: use --state-dir /srv/state there, or open the run in the dashboard.\n"
    )
