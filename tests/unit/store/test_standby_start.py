"""A standby that starts to serve while the database server does not respond."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.app.standby import Standby
from controller.clock import SystemClock
from controller.settings import Settings, locate
from controller.state_url import StateUrl
from controller.store import Store
from controller.store.state_directory import StateDirectory
from tests.conftest import GitRepository, wait_until
from tests.proxy import Proxy


@pytest.fixture
def state(tmp_path: Path, proxy: Proxy, postgresql_url: StateUrl) -> StateDirectory:
    """The state directory of a standby whose existing database is behind the proxy."""
    Store.open(postgresql_url).close()
    directory = tmp_path / "standby"
    directory.mkdir(mode=0o700)
    return StateDirectory(directory, proxy.url("tables"))


@pytest.fixture
def standby(repository: GitRepository, state: StateDirectory, proxy: Proxy) -> Iterator[Standby]:
    location = locate(str(repository.path), "deployments", None, str(state.path))
    opened = Standby(Settings(location=replace(location, state_url=proxy.url("tables"))), state, SystemClock())
    yield opened
    opened.close()


def is_served(state: StateDirectory) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(state.socket)) == 0


def test_a_server_that_does_not_answer_does_not_delay_the_question_who_leads(
    standby: Standby, state: StateDirectory, proxy: Proxy
) -> None:
    with proxy.dropping():
        standby.serve()
        standby.serve()
        assert standby._starting is not None
        assert standby._starting.is_alive()  # it still waits for the server, which gets 5 seconds
    wait_until(lambda: is_served(state))
    standby.close()
    assert not is_served(state)


def test_a_standby_that_is_closed_while_it_starts_never_serves(
    standby: Standby, state: StateDirectory, proxy: Proxy
) -> None:
    with proxy.dropping():
        standby.serve()
        standby.close()
        starting = standby._starting
        assert starting is not None
        assert starting.is_alive()
    wait_until(lambda: not starting.is_alive())
    assert not is_served(state)
    assert standby._store is None
