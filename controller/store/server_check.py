"""Checks a state database on a server: the versions of the server and of the schema, and which controller leads."""

from controller.model.leaders import Leader
from controller.records import dataclass
from controller.settings import PROJECT
from controller.state_url import StateUrl
from controller.store import database
from controller.store.database import SCHEMA_HEAD
from controller.store.leaders import find_leader
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """The version of a PostgreSQL server, that of the schema in the database, and the controller that leads.

    Without tables, `schema` and `leader` are None.
    """

    server: str
    schema: str | None
    leader: Leader | None

    @property
    def is_current(self) -> bool:
        """Whether the schema is that of this version of controller, or will be."""
        return self.schema in (None, SCHEMA_HEAD)


def check_server(url: StateUrl) -> ServerReport:
    """Connect to a database on a server. Raises StateError."""
    engine = database.reader(url)
    try:
        with database.translate_errors(), engine.connect() as connection:
            server = str(connection.exec_driver_sql("SHOW server_version").scalar())
        schema = database.schema_version(engine)
        leader = None
        if schema == SCHEMA_HEAD:
            with database.translate_errors(), engine.begin() as connection:
                leader = find_leader(Transaction(connection, PROJECT))
        return ServerReport(server=server, schema=schema, leader=leader)
    finally:
        engine.dispose()
