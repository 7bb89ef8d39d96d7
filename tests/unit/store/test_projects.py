"""Several projects in one database: each has its own tables, leader and announcements. A file has one project."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.errors import AlreadyRunningError, StateError, UsageError
from controller.model.status import Event, EventSeverity, SourceStatus
from controller.project_names import chosen_project
from controller.remotes import parse_url
from controller.settings import Location
from controller.state_url import StateUrl, project_of_schema
from controller.store import Store, events, source_status
from controller.store.access_check import check_owner, check_repository
from controller.store.commit_counter import CommitListener
from controller.store.databases.postgresql import connect
from controller.store.ownership import claim
from controller.store.server_check import check_server
from controller.store.state_copy import copy_state
from tests.conftest import NOW, wait_until
from tests.postgresql import Server

EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="done", about="source")


@pytest.fixture
def url(postgresql_server: Server, request: pytest.FixtureRequest) -> StateUrl:
    """A database without tables."""
    return postgresql_server.create_database(f"p{abs(hash(request.node.nodeid))}")


@pytest.fixture
def stores(url: StateUrl) -> Iterator[list[Store]]:
    """The stores of three projects of one database, whose controllers lead at the same time."""
    opened = [Store.open(url.of_project(name)) for name in ("sales", "sales-eu", None)]
    yield opened
    for store in opened:
        store.close()


def write(store: Store, message: str = "done") -> None:
    with store.write() as tx:
        events.append(tx, [Event(time=NOW, severity=EventSeverity.INFO, reason="A", message=message, about="source")])


def read(store: Store) -> list[str]:
    with store.read() as tx:
        return [event.message for event in events.latest(tx, 10)]


def test_projects_share_a_database_and_nothing_else(stores: list[Store], url: StateUrl) -> None:
    for number, store in enumerate(stores):
        write(store, str(number))
    assert [read(store) for store in stores] == [["0"], ["1"], ["2"]]
    with connect(url) as connection:
        rows = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'runs' ORDER BY 1").fetchall()
    assert [name for (name,) in rows] == ["controller_sales", "controller_sales_eu", "public"]
    for name in ("sales", "sales-eu", None):
        with pytest.raises(AlreadyRunningError):
            Store.open(url.of_project(name))


def test_a_commit_is_announced_to_its_project_only(stores: list[Store], url: StateUrl) -> None:
    listeners = [CommitListener(url.of_project(name)) for name in ("sales", None)]
    before = [listener.stamp() for listener in listeners]
    write(stores[0])
    wait_until(lambda: listeners[0].stamp() == before[0] + 1)
    assert listeners[1].stamp() == before[1]
    for listener in listeners:
        listener.close()


def test_a_project_without_a_state_is_not_that_of_another_one(stores: list[Store], url: StateUrl) -> None:
    assert Store.open_existing(url.of_project("hr")) is None
    with pytest.raises(StateError, match=r"There is no state at .*project hr"):
        Store.open_read_only(url.of_project("hr"))
    report = check_server(url.of_project("hr"))
    assert (report.schema, report.leader) == (None, None)
    report = check_server(url.of_project("sales"))
    assert report.leader is not None
    assert len(stores) == 3


def test_a_state_is_copied_into_a_project(sqlite_store: Store, url: StateUrl, tmp_path: Path) -> None:
    write(sqlite_store, "kept")
    copy_state(sqlite_store.place, url.of_project("sales"))
    assert Store.open_existing(url) is None
    copy_state(url.of_project("sales"), tmp_path / "back.db")
    store = Store.open_read_only(tmp_path / "back.db")
    assert read(store) == ["kept"]
    store.close()


@pytest.mark.parametrize(("name", "schema"), [("default", None), ("a", "controller_a"), ("a-b", "controller_a_b")])
def test_the_name_of_a_schema_is_that_of_its_project(name: str, schema: str | None) -> None:
    url = StateUrl(text="postgresql://h/d", public="postgresql://h/d").of_project(name)
    assert url.schema == schema
    assert project_of_schema(url.schema or "public") == name


def test_a_name_that_postgresql_would_cut_off_is_refused() -> None:
    url = StateUrl(text="postgresql://h/d", public="postgresql://h/d")
    assert len(url.of_project("a" * 52).schema or "") == 63
    with pytest.raises(UsageError, match="too long"):
        url.of_project("a" * 53)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("project: sales\n", "sales"),
        ("# ours\nproject:  'sales-eu'   # the shop\nqueues: {}\n", "sales-eu"),
        ('queues: {}\nproject: "a1"', "a1"),
        ("defaults:\n  project: sales\n", None),
        ('"project": sales\n', "sales"),
        ("project: sales\r\nqueues: {}\r\n", "sales"),
        ("projects: Sales\nproject:Sales\n", None),
        ("queues: {}\n", None),
    ],
)
def test_a_local_repository_names_its_project(tmp_path: Path, content: str, name: str | None) -> None:
    assert chosen_project(None, tmp_path) is None
    (tmp_path / "controller.yaml").write_text(content)
    assert chosen_project(None, tmp_path) == name
    assert chosen_project("hr", tmp_path) == "hr"


@pytest.mark.parametrize(
    ("content", "place", "value"),
    [
        ("# ours\nproject: Sales # the shop\n", "2:10", "'Sales'"),
        ("project:   'sales team'\n", "1:12", "'sales team'"),
        ("project: sales#1\n", "1:10", "'sales#1'"),
        ("project: -sales-\n", "1:10", "'-sales-'"),
        ("project: {a: b}\n", "1:10", "'{a: b}'"),
        (f"project: {'a' * 64}\n", "1:10", f"'{'a' * 64}'"),
        ("project: M\u00fcller\x1b\n", "1:10", r"'M\xfcller\x1b'"),
        ("queues: {}\nproject:\n  sales\n", "2:9", "the value of `project`"),
        ("project: # later\n", "1:10", "the value of `project`"),
        ("project:", "1:9", "the value of `project`"),
    ],
)
def test_an_invalid_name_in_the_file_is_refused_with_its_place(
    tmp_path: Path, content: str, place: str, value: str
) -> None:
    file = tmp_path / "controller.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        chosen_project(None, tmp_path)
    assert refused.value.message == f"{file}:{place}: {value} is not the name of a project."
    assert str(refused.value.hint).startswith("Write `project: NAME` in one line.")
    assert chosen_project("hr", tmp_path) == "hr"


def test_an_invalid_name_is_refused_and_a_remote_repository_names_none(tmp_path: Path) -> None:
    assert chosen_project(None, parse_url("https://example.org/a.git")) is None
    with pytest.raises(UsageError, match="not the name of a project"):
        chosen_project("Sales", tmp_path)


def status_of(location: Location) -> SourceStatus:
    return SourceStatus(
        repo=str(location.repo), ref=None, revision=None, last_attempted_revision=None, last_applied_revision=None
    )


def test_a_state_on_a_server_may_have_had_another_name_before_it_was_copied(
    postgresql_store: Store, postgresql_url: StateUrl, tmp_path: Path
) -> None:
    location = Location(repo=tmp_path, path="", ref=None, state_dir=tmp_path, state_url=postgresql_url, project="hr")
    with postgresql_store.write() as tx:
        source_status.save(tx, replace(status_of(location), project_name="sales"))
        claim(tx, location, NOW, is_adopted=False)
        status = source_status.find(tx)
    assert status is not None
    assert status.project_name == postgresql_url.project


def test_the_message_about_another_repository_names_the_state_and_how_to_choose_another(tmp_path: Path) -> None:
    file = Location(repo=tmp_path / "mine", path="", ref=None, state_dir=tmp_path / "state")
    url = StateUrl(text="postgresql+psycopg://db/x", public="postgresql+psycopg://db/x").of_project("sales")
    rest = f"belongs to the repository /srv/other, not to {tmp_path}/mine"
    for location, state, option in (
        (file, f"The state directory {tmp_path}/state", "--state-dir"),
        (
            replace(file, state_url=url, project="sales"),
            "The database postgresql+psycopg://db/x (project sales)",
            "--project or --state-url",
        ),
    ):
        with pytest.raises(UsageError) as refused:
            check_repository("/srv/other", location)
        assert refused.value.message == f"{state} {rest}."
        assert refused.value.hint == (
            f"Add --repo /srv/other to read the state of that one, or choose another {option}."
        )


def test_a_file_is_the_state_of_one_project(sqlite_store: Store, tmp_path: Path) -> None:
    def location(project: str | None) -> Location:
        return Location(repo=tmp_path, path="", ref=None, state_dir=tmp_path, project=project)

    with sqlite_store.write() as tx:
        source_status.save(tx, status_of(location(None)))
        claim(tx, location(None), NOW, is_adopted=False)
        claim(tx, location("sales"), NOW, is_adopted=False)
        claim(tx, location(None), NOW, is_adopted=False)
        with pytest.raises(UsageError) as refused:
            claim(tx, location("hr"), NOW, is_adopted=False)
        assert refused.value.message == f"The state directory {tmp_path} is that of the project sales, not of hr."
        assert "--project sales" in str(refused.value.hint)
    check_owner(location("sales"))
    check_owner(location(None))
    with pytest.raises(UsageError, match="is that of the project sales, not of hr"):
        check_owner(location("hr"))
    with sqlite_store.write() as tx:
        claim(tx, location("hr"), NOW, is_adopted=True)
    with sqlite_store.read() as tx:
        status = source_status.find(tx)
    assert status is not None
    assert status.project_name == "hr"
