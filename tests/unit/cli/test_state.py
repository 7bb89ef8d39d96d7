"""`controller state copy`: the state moves, and the old file is set aside."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.cli.state import state
from controller.errors import AlreadyRunningError, NoStateError, StateLostError, UsageError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.history_check import check_history
from controller.store.state_directory import StateDirectory
from tests.conftest import NOW
from tests.unit.store.test_state_directory import hold

EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="A", message="a", about="source")


def copy(*arguments: object) -> str:
    result = CliRunner().invoke(state, ["copy", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def make_state(directory: Path) -> None:
    directory.mkdir()
    store = Store.open(directory / "state.db")
    with store.write() as tx:
        events.append(tx, [EVENT])
    store.close()


def test_the_state_moves_to_a_server_and_back(tmp_path: Path, postgresql_url: StateUrl) -> None:
    make_state(tmp_path / "old")
    assert copy("--from", tmp_path / "old", "--to", postgresql_url.text) == "events\t1\n"
    assert not (tmp_path / "old" / "state.db").exists()
    assert (tmp_path / "old" / "state.db.copied").exists()
    (tmp_path / "old" / "token.sha256").touch()
    with pytest.raises(StateLostError, match="was copied to another place"):
        check_history(StateDirectory(tmp_path / "old"))
    with pytest.raises(NoStateError) as raised:
        copy("--from", tmp_path / "old", "--to", postgresql_url.text)
    assert raised.value.hint == "It was copied already."
    assert copy("--from", postgresql_url.text, "--to", tmp_path / "new") == "events\t1\n"
    store = Store.open_read_only(tmp_path / "new" / "state.db")
    with store.read() as tx:
        assert events.latest(tx, 5) == [EVENT]
    store.close()


def test_a_state_that_is_in_use_or_missing_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(NoStateError):
        copy("--from", tmp_path / "old", "--to", tmp_path / "new")
    make_state(tmp_path / "old")
    directory = StateDirectory(tmp_path / "old")
    hold(directory)
    with pytest.raises(AlreadyRunningError):
        copy("--from", tmp_path / "old", "--to", tmp_path / "new")
    directory.release()


def test_a_password_is_refused(tmp_path: Path) -> None:
    make_state(tmp_path / "old")
    with pytest.raises(UsageError, match="password"):
        copy("--from", tmp_path / "old", "--to", "postgresql://a:s3cret@h/d")
