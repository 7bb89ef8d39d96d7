"""A prepared statement does the same whether the driver executes it or SQLAlchemy, for a listener."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, bindparam, delete, event, insert, select

from controller.errors import StateError
from controller.store import Store
from controller.store.prepared import Prepared, listed
from controller.store.schema import queues

NEW = Prepared(insert(queues).values({name: bindparam(name) for name in ("project", "name", "limit")}))
FOUND = Prepared(select(queues.c.name, queues.c.limit).where(queues.c.name.in_(listed("names"))).order_by("name"))
DELETED = Prepared(delete(queues).where(queues.c.limit < bindparam("below")))


@pytest.fixture(params=["the driver", "SQLAlchemy"])
def received(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The statements that a listener receives, if there is one."""
    statements: list[str] = []
    if request.param == "the driver":
        yield statements
        return

    def record(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", record)
    yield statements
    event.remove(Engine, "before_cursor_execute", record)
    assert statements


@pytest.mark.usefixtures("received")
def test_rows_are_written_read_and_deleted(store: Store) -> None:
    rows = [{"project": "default", "name": name, "limit": limit} for limit, name in enumerate("abc")]
    with store.write() as tx:
        NEW.execute(tx, rows)
        NEW.execute(tx, [])
    with store.read() as tx:
        assert [(row.name, row.limit) for row in FOUND.fetch(tx, names=["c", "a", "x"])] == [("a", 0), ("c", 2)]
    with store.write() as tx:
        assert DELETED.run(tx, below=2) == 2
    with store.read() as tx:
        assert [row.name for row in FOUND.fetch(tx, names=["a", "b", "c"])] == ["c"]


@pytest.mark.usefixtures("received")
def test_a_failed_statement_is_a_state_error_and_nothing_of_its_transaction_remains(store: Store) -> None:
    row = {"project": "default", "name": "a", "limit": 1}
    with pytest.raises(StateError), store.write() as tx:
        NEW.execute(tx, [row, row])
    with store.write() as tx:
        NEW.execute(tx, [row])
    with store.read() as tx:
        assert len(FOUND.fetch(tx, names=["a"])) == 1
