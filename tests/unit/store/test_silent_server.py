"""Sessions with a server that accepts statements, and does not answer."""

from collections.abc import Iterator

import pytest

from controller.errors import StateError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.databases.postgresql_session import Session
from controller.store.leadership import lead
from tests.conftest import NOW
from tests.postgresql import Server
from tests.proxy import Proxy

EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="done", about="source")


@pytest.fixture
def proxy(postgresql_server: Server) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    found = Proxy(postgresql_server.socket)
    yield found
    found.close()


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


def test_a_lease_that_is_not_renewed_without_an_answer_loses_the_lock(
    proxy: Proxy, url: StateUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.store.leadership._ANSWER_SECONDS", 0.3)
    leadership = lead(url, "default")
    with proxy.dropping(), pytest.raises(StateError, match="does not answer"):
        leadership.renew()
    assert leadership.has_lost_lock
    leadership.release()
