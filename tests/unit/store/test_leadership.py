"""Which controller leads a project with its state on a server, and that a deposed one can't write."""

from collections.abc import Iterator
from contextlib import nullcontext

import psycopg
import pytest

from controller.errors import AlreadyRunningError, DeposedError, StateError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.databases.postgresql import connect
from controller.store.leaders import find_leader
from controller.store.leadership import Leadership, lead
from tests.conftest import NOW, wait_until

EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="done", about="source")


@pytest.fixture
def first(postgresql_url: StateUrl) -> Iterator[Store]:
    """The store of the controller that leads."""
    store = Store.open(postgresql_url)
    yield store
    store.close()


def write(store: Store) -> None:
    with store.write() as tx:
        events.append(tx, [EVENT])


def count(store: Store) -> int:
    with store.read() as tx:
        return len(events.latest(tx, 10))


def execute(url: StateUrl, statement: str) -> None:
    with connect(url) as connection:
        connection.execute(statement.encode())


def expire_lease(url: StateUrl) -> None:
    execute(url, "UPDATE leases SET renewed_at = renewed_at - interval '7 seconds'")


def test_only_one_controller_leads_a_project(first: Store, postgresql_url: StateUrl) -> None:
    with pytest.raises(AlreadyRunningError):
        lead(postgresql_url, "default")
    other = lead(postgresql_url, "other")
    other.release()
    write(first)


def test_the_next_controller_begins_a_new_term_when_the_leader_has_stopped(postgresql_url: StateUrl) -> None:
    for term in (1, 2, 3):
        store = Store.open(postgresql_url)
        with store.read() as tx:
            leader = find_leader(tx)
        assert leader is not None
        assert (leader.term, leader.leads) == (term, True)
        store.close()
        reader = Store.open_read_only(postgresql_url)
        with reader.read() as tx:
            leader = find_leader(tx)
        reader.close()
        assert leader is not None
        assert not leader.leads


def test_a_leader_that_stops_is_followed_at_once(postgresql_url: StateUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(postgresql_url)
    second = Leadership(postgresql_url, "default")
    assert not second.try_lock()
    still_open: list[psycopg.Connection[object]] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            psycopg.Connection, "close", lambda each: still_open.append(each)
        )  # the server has not noticed the end yet
        store.close()
    assert second.try_lock()
    second.release()
    for connection in still_open:
        connection.close()


def test_a_valid_lease_protects_a_leader_and_an_expired_one_ends_its_sessions(
    first: Store, postgresql_url: StateUrl
) -> None:
    second = Leadership(postgresql_url, "default")
    assert not second.try_lock()
    write(first)
    expire_lease(postgresql_url)
    wait_until(second.try_lock)
    store = Store.open(postgresql_url, leadership=second)
    for _ in range(2):  # the first attempt meets the session that was ended
        with pytest.raises(StateError):
            write(first)
    with pytest.raises(DeposedError):
        write(first)
    write(store)
    assert count(store) == 2
    store.close()


def test_a_transaction_that_is_open_when_the_lease_expires_is_rolled_back(
    first: Store, postgresql_url: StateUrl
) -> None:
    second = Leadership(postgresql_url, "default")
    opened: list[Store] = []

    def write_slowly() -> None:
        with first.write() as tx:
            events.append(tx, [EVENT])
            expire_lease(postgresql_url)
            wait_until(second.try_lock)
            opened.append(Store.open(postgresql_url, leadership=second))
            write(opened[0])

    with pytest.raises(StateError):
        write_slowly()
    assert count(opened[0]) == 1
    opened[0].close()


def test_a_leader_without_its_lock_is_deposed_by_the_next_one(first: Store, postgresql_url: StateUrl) -> None:
    leadership = first._leadership
    assert leadership is not None
    leadership.renew()
    execute(
        postgresql_url,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
    )
    write(first)  # nobody else leads yet
    with pytest.raises(StateError):
        leadership.renew()
    assert leadership.has_lost_lock
    store = Store.open(postgresql_url)
    with pytest.raises(DeposedError):
        write(first)
    store.close()


def test_a_command_beside_the_leader_writes_in_its_term(first: Store, postgresql_url: StateUrl) -> None:
    beside = Store.open_beside(postgresql_url)
    write(beside)
    write(first)
    first.close()
    store = Store.open(postgresql_url)
    with pytest.raises(DeposedError):
        write(beside)
    assert count(store) == 2
    beside.close()
    store.close()


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_whose_answer_is_lost_counts_if_the_server_has_committed(
    first: Store, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    commit = psycopg.Connection.commit

    def lose_answer(connection: "psycopg.Connection[object]") -> None:
        monkeypatch.setattr(psycopg.Connection, "commit", commit)
        if is_committed:
            commit(connection)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.Connection, "commit", lose_answer)
    with nullcontext() if is_committed else pytest.raises(StateError):
        write(first)
    assert count(first) == int(is_committed)
    write(first)


def test_a_controller_that_stops_between_the_lock_and_its_term_is_ended(
    postgresql_url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, next_one = Leadership(postgresql_url, "default"), Leadership(postgresql_url, "default")
    assert stopped.try_lock()
    assert not next_one.try_lock()
    assert not next_one.try_lock()
    monkeypatch.setattr("controller.store.leadership._OPENING_SECONDS", 0)
    wait_until(next_one.try_lock)
    stopped.release()
    next_one.release()


def test_a_leader_is_not_ended_as_one_that_has_not_begun(
    first: Store, postgresql_url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.store.leadership._OPENING_SECONDS", 0)
    second, elsewhere = Leadership(postgresql_url, "default"), lead(postgresql_url, "other")
    assert not second.try_lock()
    assert first._leadership is not None
    first._leadership.renew()
    elsewhere.begin()
    second.release()
    elsewhere.release()


def test_the_server_notices_a_dead_client(postgresql_url: StateUrl) -> None:
    with connect(postgresql_url) as connection:
        rows = connection.execute("SELECT name, reset_val FROM pg_settings WHERE name LIKE 'tcp_%'").fetchall()
    assert dict(rows) == {
        "tcp_keepalives_count": "2",
        "tcp_keepalives_idle": "3",
        "tcp_keepalives_interval": "2",
        "tcp_user_timeout": "5000",
    }
