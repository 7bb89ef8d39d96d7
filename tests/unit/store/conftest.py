"""Runs the tests of this folder that use a store with each kind of database."""

from collections.abc import Iterator

import pytest

from controller.store import Store
from tests.postgresql import Server
from tests.proxy import Proxy

ONLY_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
"""Marks a test of what only a file of SQLite has, such as the plans of its queries."""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty state database, open to write."""
    name = "sqlite_store" if request.param == "sqlite" else "postgresql_store"
    opened: Store = request.getfixturevalue(name)
    return opened


@pytest.fixture
def proxy(postgresql_server: Server) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    opened = Proxy(postgresql_server.socket)
    yield opened
    opened.close()
