"""The state in a database on a PostgreSQL server: one controller, and standbys that take over."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.state_url import StateUrl
from controller.store.databases.postgresql import connect
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, Running, assert_every_second, until
from tests.acceptance.several_controllers import RECORD_TERMS, TICK, check_terms, each_a_process, new_database, select
from tests.postgresql import Server
from tests.thoroughness import POSTGRESQL

pytestmark = pytest.mark.acceptance
commands = each_a_process
url = new_database

GATED = """
    name: slow
    command: ['sh', '-c', 'echo started >> {root}/starts; while [ ! -e {root}/gate ]; do sleep 0.05; done']
"""


@pytest.fixture
def shared(repository: Repository, url: StateUrl) -> Repository:
    """A repository whose state is on the server."""
    repository.machine.environment["CONTROLLER_STATE_URL"] = url.text
    return repository


def test_a_controller_that_is_killed_continues_with_the_state_on_the_server(
    shared: Repository, url: StateUrl, running: Start
) -> None:
    shared.write("deployments/slow.yaml", GATED.format(root=shared.root))
    revision = shared.commit()
    controller = running(shared)
    until(lambda: select(url, "SELECT 1 FROM source WHERE last_applied_revision IS NOT NULL"), "the first pass")
    assert shared.status()["source"]["last_applied_revision"] == revision
    run_id = shared.tell("trigger", "slow")["run_id"]
    until(lambda: (shared.root / "starts").exists(), "the flow to start")
    controller.kill()
    assert shared.tell("runs", "show", run_id)["state"] == "running"
    running(shared)
    (shared.root / "gate").touch()
    until(lambda: select(url, "SELECT 1 FROM runs WHERE state = 'succeeded'"), "the run to end")
    assert shared.tell("runs", "show", run_id)["state"] == "succeeded"
    assert select(url, "SELECT count(*) FROM attempts") == [(1,)]
    assert (shared.root / "starts").read_text() == "started\n"
    assert not (shared.state / "state.db").exists()
    with followed_events(shared, url) as follower:
        shared.tell("hold", "slow", "--reason", "lunch")
        until(lambda: "lunch" in follower.read_text(), "the event to be followed")
    doctor = shared.ask("doctor").out
    assert f"PostgreSQL {POSTGRESQL}" in doctor
    assert "term 2" in doctor
    for command in ("deployments list", "runs list", "events", "status"):
        answer = shared.ask(*command.split())
        assert answer.code == 0, answer
        assert "slow" in answer.out


def test_a_run_of_a_lost_host_is_uncertain_until_an_operator_ends_it(
    shared: Repository, url: StateUrl, running: Start
) -> None:
    shared.write("deployments/slow.yaml", GATED.format(root=shared.root))
    shared.commit()
    controller = running(shared)
    run_id = shared.tell("trigger", "slow")["run_id"]
    until(lambda: (shared.root / "starts").exists(), "the flow to start")
    until(lambda: shared.tell("hosts")[0]["seen_at"] is not None, "the first sign of life")
    [own] = shared.tell("hosts")
    assert (own["state"], own["running"]) == ("leading", 1)
    refused = shared.ask("hosts", "lost", own["name"], "--yes")
    assert (refused.code, "seen in the last 30 seconds" in refused.err) == (2, True)
    controller.kill()
    with connect(url) as connection:
        connection.execute("UPDATE attempts SET place = 'gone:/srv/runs'")
    running(shared)
    until(lambda: shared.tell("runs", "show", run_id)["uncertain_since"] is not None, "the run to be uncertain")
    for command in (("runs", "show", run_id), ("runs", "list"), ("status",)):
        assert "unknown: host gone is away" in shared.ask(*command).out, command
    hosts = {host["name"]: (host["state"], host["running"]) for host in shared.tell("hosts")}
    assert hosts["gone"] == ("away", 1)
    question = shared.ask("hosts", "lost", "gone")
    assert (question.code, "End 1 run of host gone as crashed?" in question.err) == (2, True)
    assert shared.ask("hosts", "lost", "nowhere", "--yes").code == 2
    assert shared.tell("hosts", "lost", "gone", "--yes")["run_ids"] == [run_id]
    ended = shared.tell("runs", "show", run_id)
    assert (ended["state"], ended["reason"]) == ("crashed", "outcome unknown: host gone was declared lost")
    (shared.root / "gate").touch()


def test_two_projects_share_a_database(shared: Repository, url: StateUrl, running: Start, tmp_path: Path) -> None:
    other = Repository(tmp_path / "hr", shared.machine)
    for repository, project in ((shared, "sales"), (other, "hr-eu")):
        repository.write("controller.yaml", f"project: {project}\n")
        repository.write("deployments/tick.yaml", TICK.format(root=repository.root))
        repository.commit()
        running(repository)
    until(lambda: all((repository.root / "ticks").exists() for repository in (shared, other)), "both to tick")
    assert (shared.status()["source"]["project"], other.status()["source"]["project"]) == ("sales", "hr-eu")
    listed = {row["name"]: (row["repo"], row["deployments"]) for row in shared.tell("projects")}
    assert listed == {"sales": (str(shared.root), 1), "hr-eu": (str(other.root), 1)}
    assert all(row["leader"] for row in other.tell("projects"))
    for line in (shared.root / "ticks").read_text().splitlines():
        assert line not in (other.root / "ticks").read_text()
    assert "project hr-eu" in other.ask("doctor").out
    refused = shared.ask("run", "--once", "--project", "hr-eu", "--state-dir", str(tmp_path / "third"))
    assert refused.code == 2
    shared.write("controller.yaml", "project: moved\n")
    shared.commit()
    until(lambda: other_project(select(url, "SELECT findings FROM controller_sales.source")), "the finding")


def other_project(rows: list[tuple[Any, ...]]) -> bool:
    return "OtherProject" in str(rows)


@contextmanager
def followed_events(shared: Repository, url: StateUrl) -> Iterator[Path]:
    """Follow the events with the command line; yield its output, once it waits for announcements."""
    output = shared.root.parent / "events.txt"
    with output.open("wb") as stream:
        process = shared.machine.start(
            "events", "--follow", "--repo", shared.address, stdout=stream.fileno(), stderr=stream.fileno()
        )
    is_waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'controller' AND query LIKE 'SELECT commits%'"
    try:
        until(lambda: select(url, is_waiting), "the command to listen")
        yield output
    finally:
        process.kill()
        process.wait(60)


def stop_process(leader: Running, _url: StateUrl) -> None:
    leader.process.send_signal(signal.SIGSTOP)


def kill_process(leader: Running, _url: StateUrl) -> None:
    leader.kill()


def end_sessions(_leader: Running, url: StateUrl) -> None:
    select(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'controller:%'",
    )


@pytest.mark.parametrize("fail", [kill_process, stop_process, end_sessions])
def test_a_standby_takes_over_without_skipping_a_due_time_or_starting_an_attempt_twice(
    shared: Repository, url: StateUrl, running: Start, tmp_path: Path, fail: Callable[[Running, StateUrl], None]
) -> None:
    shared.write("deployments/slow.yaml", GATED.format(root=shared.root))
    shared.write("deployments/tick.yaml", TICK.format(root=shared.root))
    shared.commit()
    leader = running(shared)
    with connect(url) as connection:
        connection.execute(RECORD_TERMS.encode())
    run_id = shared.tell("trigger", "slow")["run_id"]
    until(lambda: (shared.root / "starts").exists(), "the flow to start")
    other = Running(shared, tmp_path / "other.log", ("--state-dir", str(tmp_path / "other")), {})
    try:
        until(lambda: "waiting as a standby" in other.output, "the standby to wait")
        [(term,)] = select(url, "SELECT term FROM leadership")
        fail(leader, url)
        led = f"SELECT 1 FROM leadership JOIN leases USING (holder) WHERE term > {term}"
        until(lambda: select(url, led), "a new leader")
        until(lambda: has_ticked_in_term(url), "due times of the new term")
        if leader.process.poll() is None:
            leader.process.send_signal(signal.SIGCONT)
            until(lambda: waits_or_leads(leader), "the deposed leader to start again")
        (shared.root / "gate").touch()
        until(lambda: select(url, "SELECT 1 FROM runs WHERE deployment = 'slow' AND state = 'succeeded'"), "the end")
        leader.kill()
        other.stop()
    finally:
        other.kill()
    [(attempts, state)] = select(url, f"SELECT attempt, state FROM runs WHERE id = '{run_id}'")
    assert (attempts, state) == (1, "succeeded")
    assert (shared.root / "starts").read_text() == "started\n"
    ticks = Counter((shared.root / "ticks").read_text().splitlines())
    assert set(ticks.values()) == {1}
    times = select(url, "SELECT scheduled_for FROM occurrences WHERE deployment = 'tick' ORDER BY 1")
    assert_every_second([time.isoformat() for (time,) in times])
    assert select(url, "SELECT 1 FROM occurrences WHERE reason LIKE '%missed%'") == []
    check_terms([term for (term,) in select(url, "SELECT term FROM terms ORDER BY number")])


def test_a_controller_leads_again_after_the_server_was_restarted(repository: Repository, running: Start) -> None:
    server = Server(fsync="on", synchronous_commit="on")
    try:
        url = server.create_database("restarted")
        repository.machine.environment["CONTROLLER_STATE_URL"] = url.text
        repository.write("deployments/tick.yaml", TICK.format(root=repository.root))
        repository.commit()
        controller = running(repository)
        until(lambda: (repository.root / "ticks").exists(), "the first tick")
        server.stop()
        until(lambda: "waiting" in controller.output or "can't be" in controller.output, "the failure to be noticed")
        server.start()
        until(lambda: select(url, "SELECT 1 FROM leadership WHERE term > 1"), "a new term")
        until(lambda: has_ticked_in_term(url), "due times of the new term")
        controller.stop()
        times = select(url, "SELECT scheduled_for FROM occurrences WHERE deployment = 'tick' ORDER BY 1")
        assert_every_second([time.isoformat() for (time,) in times])
        ticks = Counter((repository.root / "ticks").read_text().splitlines())
        assert set(ticks.values()) == {1}
    finally:
        server.close()


def test_a_deposed_leader_that_is_to_stop_does_not_become_a_standby(
    shared: Repository, url: StateUrl, running: Start, tmp_path: Path
) -> None:
    leader = running(shared)
    other = Running(shared, tmp_path / "other.log", ("--state-dir", str(tmp_path / "other")), {})
    try:
        until(lambda: "waiting as a standby" in other.output, "the standby to wait")
        stop_process(leader, url)
        until(lambda: select(url, "SELECT 1 FROM leadership WHERE term > 1"), "a new leader")
        leader.process.send_signal(signal.SIGTERM)
        leader.stop(signal.SIGCONT)  # both arrive: SIGTERM, and the news that another controller leads
        until(lambda: other.is_started, "the new leader to start")
        other.stop()
    finally:
        other.kill()


def has_ticked_in_term(url: StateUrl) -> list[tuple[Any, ...]]:
    """Whether due times that were in the future when the leader's term began are decided."""
    query = "SELECT 1 FROM occurrences, leadership WHERE scheduled_for > since + interval '2 s' LIMIT 1"
    return select(url, query)


def waits_or_leads(leader: Running) -> bool:
    """Whether a deposed leader has started again. If the standby lost its sessions too, either of both may lead."""
    return "waiting as a standby" in leader.output or leader.output.count("Controller started") > 1
