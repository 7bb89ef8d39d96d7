"""A listener counts commits without asking the server, and a standby asks it once a second."""

import select
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from controller.errors import DeposedError, StateError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.commit_counter import CommitCounter, CommitListener
from controller.store.databases import postgresql_listener
from controller.store.databases.postgresql import connect
from controller.store.leadership import Leadership
from tests.conftest import NOW, PATIENCE_SECONDS, wait_until

EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="done", about="source")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that this process sends outside of the pools."""
    sent: list[str] = []
    execute: Any = psycopg.Connection.execute

    def count(connection: Any, query: Any, *arguments: Any, **more: Any) -> Any:
        sent.append(str(query))
        return execute(connection, query, *arguments, **more)

    monkeypatch.setattr(psycopg.Connection, "execute", count)
    return sent


@pytest.fixture
def listener(postgresql_store: Store, postgresql_url: StateUrl) -> Iterator[CommitListener]:
    assert postgresql_store.announced > 0
    opened = CommitListener(postgresql_url)
    yield opened
    opened.close()


def write(store: Store) -> None:
    with store.write() as tx:
        events.append(tx, [EVENT])


def has_failed(listener: CommitListener) -> bool:
    try:
        listener.stamp()
    except StateError:
        return True
    return False


def wait_for_announcement(listener: CommitListener) -> None:
    descriptor = listener.fileno()
    assert descriptor is not None
    assert select.select([descriptor], [], [], PATIENCE_SECONDS)[0]


def test_a_commit_is_announced_and_an_idle_listener_asks_nothing(
    postgresql_store: Store, postgresql_url: StateUrl, listener: CommitListener, statements: list[str]
) -> None:
    before = listener.stamp()
    statements.clear()
    assert {listener.stamp() for _ in range(100)} == {before}
    for number in range(1, 4):
        write(postgresql_store)
        wait_for_announcement(listener)
        wait_until(lambda: listener.stamp() == before + number)  # noqa: B023
    assert statements == []
    counter = CommitCounter(postgresql_url)
    assert counter.stamp() == before + 3
    counter.close()


def test_a_transaction_that_fails_is_not_announced(postgresql_store: Store, listener: CommitListener) -> None:
    before = listener.stamp()
    with suppress(ZeroDivisionError), postgresql_store.write() as tx:
        events.append(tx, [EVENT])
        raise ZeroDivisionError
    write(postgresql_store)
    wait_for_announcement(listener)
    wait_until(lambda: listener.stamp() == before + 1)


def test_own_commits_are_counted_at_once(postgresql_store: Store, postgresql_url: StateUrl) -> None:
    listener = CommitListener(postgresql_url, lambda: postgresql_store.announced)
    for _ in range(5):
        before = listener.stamp()
        write(postgresql_store)
        assert listener.stamp() == before + 1
    listener.close()


def test_the_poll_behind_it_notices_what_was_not_announced(
    postgresql_url: StateUrl, listener: CommitListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listener.stamp()
    with connect(postgresql_url) as connection:
        connection.execute("UPDATE leadership SET commits = commits + 7")
    assert listener.stamp() == before
    monkeypatch.setattr(postgresql_listener, "ASK_SECONDS", 0.0)
    assert listener.stamp() == before + 7


def test_a_listener_connects_again_after_its_session_was_ended(
    postgresql_store: Store, postgresql_url: StateUrl, listener: CommitListener
) -> None:
    before = listener.stamp()
    with connect(postgresql_url) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT commits FROM leadership%'"
        )
    wait_for_announcement(listener)
    wait_until(lambda: has_failed(listener))
    write(postgresql_store)
    assert listener.stamp() == before + 1


def test_the_begin_of_a_term_is_announced(
    postgresql_store: Store, postgresql_url: StateUrl, listener: CommitListener
) -> None:
    before = listener.stamp()
    postgresql_store.close()
    store = Store.open(postgresql_url)
    wait_for_announcement(listener)
    wait_until(lambda: listener.stamp() == before + 1)
    store.close()


def test_a_standby_sends_one_statement_each_time(
    postgresql_store: Store, postgresql_url: StateUrl, statements: list[str]
) -> None:
    standby = Leadership(postgresql_url, "default")
    assert not standby.try_lock()
    statements.clear()
    for _ in range(10):
        assert not standby.try_lock()
    assert len(statements) == 10
    postgresql_store.close()
    assert standby.try_lock()
    standby.release()


def test_a_deposed_controller_announces_nothing(
    postgresql_store: Store, postgresql_url: StateUrl, listener: CommitListener
) -> None:
    before = listener.stamp()
    with connect(postgresql_url) as connection:
        connection.execute("UPDATE leadership SET holder = 'another'")
    with pytest.raises(DeposedError):
        write(postgresql_store)
    assert postgresql_store.announced == before == listener.stamp()
