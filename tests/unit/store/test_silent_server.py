"""Sessions with a server that does not answer, and connections that end during a commit."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import psycopg
import pytest

from controller.errors import StateError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.databases.postgresql import connect
from controller.store.databases.postgresql_session import Session
from controller.store.leadership import lead
from tests.conftest import NOW, wait_until
from tests.postgresql import Server
from tests.proxy import Cut, Proxy

EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="done", about="source")


@pytest.fixture
def url(proxy: Proxy, postgresql_url: StateUrl) -> StateUrl:
    """The URL of the database with empty tables, through the proxy."""
    assert postgresql_url.text.partition("?")[0].endswith("/tables")
    return proxy.url("tables")


def write(store: Store) -> None:
    with store.write() as tx:
        events.append(tx, [EVENT])


def read(store: Store) -> int:
    with store.read() as tx:
        return len(events.latest(tx, 10))


def test_statements_without_an_answer_fail_and_the_next_ones_use_new_sessions(
    proxy: Proxy, url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(url)
    write(store)
    assert read(store) == 1
    with monkeypatch.context() as patch, proxy.dropping():
        patch.setattr(Session, "answer_seconds", 0.3)
        for use in (write, read):
            with pytest.raises(StateError, match="does not answer") as caught:
                use(store)
            assert "Check that the server runs" in str(caught.value.hint)
    write(store)
    assert read(store) in (2, 3)  # the statements that got no answer arrived at last, in a session without a client
    store.close()


def test_every_connection_is_a_session_whose_waits_are_limited(url: StateUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection of the driver itself waits for an answer without limit")

    monkeypatch.setattr(psycopg, "connect", refuse)
    store = Store.open(url)  # the proxy is new, so the dialect is initialized for it
    write(store)
    assert read(store) == 1
    store.close()


def test_a_lease_that_is_not_renewed_without_an_answer_loses_the_lock(
    proxy: Proxy, url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.store.leadership._ANSWER_SECONDS", 0.3)
    leadership = lead(url, "default")
    with proxy.dropping(), pytest.raises(StateError, match="does not answer"):
        leadership.renew()
    assert leadership.has_lost_lock
    leadership.release()


@pytest.mark.parametrize(("cut", "count"), [("before", 1), ("answer", 2), ("hold", 1)])
def test_a_commit_whose_connection_ends_is_settled(proxy: Proxy, url: StateUrl, cut: Cut, count: int) -> None:
    store = Store.open(url)
    write(store)
    proxy.cut = cut
    with nullcontext() if count == 2 else pytest.raises(StateError):
        write(store)
    assert proxy.commits > 1
    assert read(store) == count
    proxy.released.set()
    write(store)  # waits for the row that a late commit would have changed
    assert read(store) == count + 1
    store.close()


def test_the_number_of_a_lost_transaction_may_be_that_of_another_one(url: StateUrl, postgresql_url: StateUrl) -> None:
    leadership = lead(url, "default")
    store = Store.open(url, leadership=leadership)
    write(store)
    with connect(postgresql_url) as connection, connection.transaction():
        row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert row is not None
    assert leadership._was_committed(row[0], leadership.commits)
    assert not leadership._was_committed(row[0], leadership.commits + 1)
    store.close()


def test_a_commit_that_no_replica_has_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(synchronous_commit="on")
    proxy = Proxy(server.socket)
    monkeypatch.setattr("controller.store.leadership._SETTLE_SECONDS", 1.0)
    try:
        server.create_database("tables")
        store = Store.open(proxy.url("tables"))
        write(store)
        server.change("synchronous_standby_names", "missing")
        with connect(server.url("postgres")) as connection:
            wait_until(lambda: connection.execute("SHOW synchronous_standby_names").fetchone() == ("missing",))
            with ThreadPoolExecutor() as pool:
                writing = pool.submit(write, store)
                query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                wait_until(lambda: connection.execute(query).fetchone())
                proxy.reset()
                with pytest.raises(StateError):
                    writing.result()
        store.close()
    finally:
        proxy.close()
        server.close()
