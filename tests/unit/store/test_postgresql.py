"""Differences of PostgreSQL that would not be noticed otherwise: the order of texts, NUL, large numbers, time zones."""

import signal
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from controller.errors import StateError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl, parse_state_url
from controller.store import Store, events, queues
from controller.store.schema import metadata
from controller.store.server_check import check_server
from tests.conftest import NOW
from tests.postgresql import Server
from tests.thoroughness import POSTGRESQL


def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    with store.read() as tx:
        return [tuple(row) for row in tx.connection.execute(text(query))]


def test_all_texts_are_compared_byte_by_byte_and_have_no_limit(postgresql_store: Store) -> None:
    query = (
        "SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
    )
    found = rows(postgresql_store, query)
    assert {str(name) for name, *_ in found} == set(metadata.tables)
    texts = [row for row in found if row[3] is not None or row[2] == "character varying"]
    assert len(texts) > 100
    assert {row[2:] for row in texts} == {("text", "C")}
    assert "integer" not in {row[2] for row in found}
    assert "timestamp without time zone" not in {row[2] for row in found}


def test_a_nul_is_replaced(postgresql_store: Store) -> None:
    event = Event(time=NOW, severity=EventSeverity.INFO, reason="A", message="a\0b", about="source")
    with postgresql_store.write() as tx:
        events.append(tx, [event])
    with postgresql_store.read() as tx:
        assert events.latest(tx, 1)[0].message == "a\ufffdb"


def test_large_numbers_are_stored(postgresql_store: Store) -> None:
    with postgresql_store.write() as tx:
        queues.save_limits(tx, {"wide": 2**40})
    with postgresql_store.read() as tx:
        assert queues.limits(tx) == {"wide": 2**40}


def test_an_instant_keeps_its_microseconds_in_any_zone(postgresql_store: Store) -> None:
    instant = datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    event = Event(time=instant, severity=EventSeverity.INFO, reason="A", message="a", about="source")
    with postgresql_store.write() as tx:
        events.append(tx, [event])
    with postgresql_store.read() as tx:
        assert events.latest(tx, 1)[0].time == instant


def test_a_read_transaction_sees_one_snapshot(postgresql_store: Store) -> None:
    event = Event(time=NOW, severity=EventSeverity.INFO, reason="A", message="a", about="source")
    with postgresql_store.read() as tx:
        assert events.latest(tx, 1) == []
        with postgresql_store.write() as writing:
            events.append(writing, [event])
        assert events.latest(tx, 1) == []


def test_the_report_names_the_version_of_the_server(postgresql_url: StateUrl) -> None:
    report = check_server(postgresql_url)
    assert report.server.startswith(f"{POSTGRESQL}.")
    assert report.is_current


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("/tables?", "/missing?"), "createdb"),
        (("controller@", "nobody@"), "createuser"),
        (("host=/tmp/", "host=/tmp/missing-"), "Check that the server runs"),
    ],
)
def test_errors_say_what_to_do(postgresql_url: StateUrl, change: tuple[str, str], hint: str) -> None:
    url = parse_state_url(postgresql_url.text.replace(*change))
    assert url is not None
    with pytest.raises(StateError, match="The state database can't be used") as caught:
        Store.open_existing(url)
    assert hint in str(caught.value.hint)


def test_a_role_without_permission_and_a_read_only_database_are_explained(postgresql_server: Server) -> None:
    url = postgresql_server.create_database("guarded")
    admin = Store.open(url)
    with admin.write() as tx:
        tx.connection.execute(text("ALTER DATABASE guarded SET default_transaction_read_only = on"))
    admin.close()
    with pytest.raises(StateError) as caught:
        Store.open(url)
    assert "read-only replica" in str(caught.value.hint)


def test_a_server_that_was_restarted_is_used_again() -> None:
    server = Server()
    try:
        store = Store.open(server.create_database("restarted"))
        server.stop(signal.SIGINT)
        with pytest.raises(StateError), store.read() as tx:
            events.latest(tx, 1)
        with pytest.raises(StateError), store.write():
            pass
        server.start()
        with store.write() as tx:
            events.append(tx, [Event(time=NOW, severity=EventSeverity.INFO, reason="A", message="a", about="source")])
        with store.read() as tx:
            assert len(events.latest(tx, 10)) == 1
        store.close()
    finally:
        server.close()
