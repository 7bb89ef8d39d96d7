"""Every command explains why it can't use the server of `--state-url`, in one message with a hint."""

import signal
from pathlib import Path

import pytest

from controller.cli.main import COMMANDS
from controller.store.databases.postgresql import connect
from tests.conftest import GitRepository, new_repository
from tests.postgresql import Server
from tests.unit.cli.conftest import Command

READING = (
    "status",
    "top",
    "deployments list",
    "deployments show a",
    "runs list",
    "runs show abc",
    "runs logs abc",
    "runs cancel abc",
    "runs retry abc",
    "events",
    "occurrences a",
    "next a",
    "backfills list",
    "backfills show abc",
    "graph",
    "backfill a --from 1d",
    "restore a",
    "plan",
    "notify log",
    "notify channels",
    "python list",
    "hosts",
    "projects",
    "run --once",
)
CHANGING = ("trigger a", "hold a --reason b", "resume a", "reconcile", "approve abc", "login")
OTHERS = {"init", "validate", "render", "explain", "execute", "schema", "deployment", "doctor", "state", "completion"}
PROBLEMS = {
    "unreachable": ("postgresql://controller@127.0.0.1:1/tests", "Check that the server runs"),
    "password": ("postgresql://locked:wrong@/tables?host={host}", "Check the user and the password"),
    "role": ("postgresql://nobody_at_all@/tables?host={host}", "Create the role"),
    "database": ("postgresql://controller@/missing?host={host}", "Create the database"),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    """A repository with one deployment."""
    found = new_repository(tmp_path_factory.mktemp("unusable") / "repo")
    found.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    return found


@pytest.fixture(scope="module")
def locking_server(postgresql_server: Server) -> Server:
    """A server with a role that needs a password."""
    rules = postgresql_server.data / "pg_hba.conf"
    rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}")
    with connect(postgresql_server.url("postgres")) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
    postgresql_server.process.send_signal(signal.SIGHUP)
    return postgresql_server


def test_every_command_is_tested() -> None:
    tested = {line.split()[0] for line in (*READING, *CHANGING)}
    assert tested | OTHERS | {"version"} == set(COMMANDS)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("line", READING)
def test_a_command_that_reads_the_state(
    line: str,
    problem: str,
    repository: GitRepository,
    locking_server: Server,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    template, hint = PROBLEMS[problem]
    monkeypatch.setenv("CONTROLLER_STATE_URL", template.format(host=locking_server.directory))
    answer = command(*line.split(), "--repo", str(repository.path), "--state-dir", str(tmp_path / "state"))
    assert answer.code == 2, answer
    first, second = answer.err.splitlines()
    assert first.startswith("error: The state database can't be used: ")
    assert "?." not in first
    assert second.startswith(f"hint: {hint}")
    assert "wrong" not in answer.err


@pytest.mark.parametrize("line", CHANGING)
def test_a_command_that_needs_a_controller(
    line: str, repository: GitRepository, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTROLLER_STATE_URL", PROBLEMS["unreachable"][0])
    answer = command(*line.split(), "--repo", str(repository.path), "--state-dir", str(tmp_path / "state"))
    assert answer.code == 2, answer
    first, second = answer.err.splitlines()
    assert first.startswith("error: No controller has run on this machine")
    assert "with the database postgresql://controller@127.0.0.1:1/tests" in first
    assert second.startswith("hint: ")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_doctor_reports_the_server_as_a_failed_check(
    problem: str,
    repository: GitRepository,
    locking_server: Server,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    template, hint = PROBLEMS[problem]
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    monkeypatch.setenv("CONTROLLER_STATE_URL", template.format(host=locking_server.directory))
    answer = command("doctor", "--repo", str(repository.path), "--state-dir", str(state))
    assert answer.code == 1
    assert answer.err == ""
    line = next(line for line in answer.out.splitlines() if line.startswith("error    database: "))
    assert "can't be used" in line
    assert f"hint: {hint}" in answer.out


def test_state_copy_names_the_place_that_it_cannot_use(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CONTROLLER_STATE_URL", raising=False)
    answer = command("state", "copy", "--from", PROBLEMS["unreachable"][0], "--to", str(tmp_path / "new"))
    assert answer.code == 2
    assert answer.err.startswith("error: The state database can't be used: ")
    assert not (tmp_path / "new" / "state.db").exists()


def test_the_hints_about_a_state_on_a_server_name_its_option(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    repository: GitRepository,
    postgresql_server: Server,
) -> None:
    url = postgresql_server.create_database("of_another_repository")
    monkeypatch.setenv("CONTROLLER_STATE_URL", url.text)
    place = ("--state-dir", str(tmp_path / "state"))
    nothing = command("plan", "--repo", str(repository.path), *place)
    assert f"there is no state in the database {url}" in nothing.err
    assert command("run", "--once", "--repo", str(repository.path), *place).code == 0
    other = new_repository(tmp_path / "other")
    other.commit({"deployments/b.yaml": "name: b\ncommand: ['true']\n"})
    for line in ("status", "run --once"):
        answer = command(*line.split(), "--repo", str(other.path), *place)
        assert answer.code == 2
        assert "belongs to the repository" in answer.err
        assert "--state-url" in answer.err
        assert "--state-dir" not in answer.err
