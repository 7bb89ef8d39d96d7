"""Controllers that share a state on a PostgreSQL server, each of which reaches it through a proxy of its own."""

import re
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from controller.state_url import StateUrl
from controller.store.databases.postgresql import connect
from tests.acceptance.harness import Repository, Running, assert_every_second, until
from tests.postgresql import Server
from tests.proxy import Proxy

TAKE_OVER_SECONDS = 10.0
RECORD_TERMS = """
CREATE TABLE terms (number bigserial PRIMARY KEY, term bigint, commits bigint);
CREATE FUNCTION record_term() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO terms (term, commits) VALUES (NEW.term, NEW.commits); RETURN NULL; END $$;
CREATE TRIGGER record_term AFTER INSERT OR UPDATE ON leadership FOR EACH ROW EXECUTE FUNCTION record_term()
"""
"""Writes the term of each commit into a table, in the order of commits: they exclude each other."""
_SETTLED = ("waiting as a standby", "Controller started")
_STATES = "|".join((*_SETTLED, "taking over", "running flows continue"))
TICK = """
    name: tick
    command: ['sh', '-c', 'echo $CONTROLLER_RUN_ID $CONTROLLER_ATTEMPT >> {root}/ticks']
    schedules: [{{interval: 1s}}]
    overlap: queue
"""


@pytest.fixture
def each_a_process() -> None:
    """Each command is a process of its own: a controller that is deposed executes itself again.

    Modules name it `commands`.
    """


@pytest.fixture
def new_database(postgresql_server: Server) -> StateUrl:
    """A database without tables. Modules name it `url`."""
    return postgresql_server.create_database(new_name())


def new_name() -> str:
    """Return the name of a database that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


def select(url: StateUrl, query: str) -> list[tuple[Any, ...]]:
    """Ask the server itself, not through a proxy."""
    with connect(url) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


class Member:
    """One controller, its state directory, and its proxy."""

    def __init__(self, folder: Repository, directory: Path, server: Server, database: str) -> None:
        self.proxy = Proxy(server.socket)
        self._folder, self._directory, self._database = folder, directory, database
        self._starts = 0
        directory.mkdir()
        self.start()

    @property
    def place(self) -> tuple[str, str]:
        """The option with its state directory."""
        return "--state-dir", str(self._directory / "state")

    def start(self) -> None:
        """Start the controller, again if it was started before."""
        self._starts += 1
        env = {"CONTROLLER_STATE_URL": self.proxy.url(self._database).text}
        self.running = Running(self._folder, self._directory / f"{self._starts}.log", self.place, env)

    @property
    def is_settled(self) -> bool:
        """Whether it leads or waits as a standby, as far as it knows."""
        found = re.findall(_STATES, self.running.output)
        return bool(found) and found[-1] in _SETTLED

    @property
    def pid(self) -> int:
        """The process, which stays the same when a deposed controller executes itself again."""
        return self.running.process.pid

    def close(self) -> None:
        """Kill the controller, and close the proxy."""
        self.running.kill()
        self.proxy.close()


class Controllers:
    """Several controllers of one repository. The first one leads first."""

    def __init__(self, folder: Repository, server: Server, directory: Path, count: int) -> None:
        self.folder, self.server = folder, server
        self._database = new_name()
        server.create_database(self._database)
        folder.machine.environment["CONTROLLER_STATE_URL"] = self.url.text
        self.members: list[Member] = []
        for number in range(count):
            self.members.append(Member(folder, directory / f"member{number}", server, self._database))
            if number == 0:
                until(lambda: self.members[0].running.is_started, "the first controller to lead")
                until(lambda: self.select("SELECT 1 FROM source WHERE last_applied_revision IS NOT NULL"), "a pass")
                with connect(self.url) as connection:
                    connection.execute(RECORD_TERMS.encode())
        for member in self.members[1:]:
            until(lambda: "waiting as a standby" in member.running.output, "a standby to wait")  # noqa: B023

    @property
    def url(self) -> StateUrl:
        """The URL of the database at the server that leads, without a proxy."""
        return self.server.url(self._database)

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the server."""
        return select(self.url, query)

    @property
    def leader(self) -> Member:
        """The controller that leads."""
        found = until(self._find_leader, "a leader")
        assert found is not None
        return found

    @property
    def term(self) -> int:
        """The number of the last term."""
        [(term,)] = self.select("SELECT term FROM leadership")
        return int(term)

    def _find_leader(self) -> Member | None:
        rows = self.select("SELECT pid FROM leadership JOIN leases USING (holder)")
        return next((member for member in self.members if rows == [(member.pid,)]), None)

    def wait_for_term(self, after: int, seconds: float = 60.0) -> None:
        """Return when a later term than this one has begun."""
        until(lambda: self.term > after, f"a term after {after}", seconds)

    def wait_for_due_times(self) -> None:
        """Return when a run of `tick` that was due in the current term has succeeded."""
        query = "SELECT 1 FROM runs, leadership WHERE state = 'succeeded' AND scheduled_for > since + interval '2 s'"
        until(lambda: self.select(query), "a run of the new term")

    def move_to(self, server: Server) -> None:
        """Let all controllers reach another server from now on."""
        self.server = server
        for member in self.members:
            member.proxy.target = server.socket

    def count_ticks(self) -> int:
        """The number of attempts of `tick` that were started."""
        ticks = self.folder.root / "ticks"
        return len(ticks.read_text().splitlines()) if ticks.exists() else 0

    def check(self) -> None:
        """Check the terms, the due times of `tick`, and that each of its attempts was started once."""
        check_terms([term for (term,) in self.select("SELECT term FROM terms ORDER BY number")])
        times = self.select("SELECT scheduled_for FROM occurrences WHERE deployment = 'tick' ORDER BY 1")
        assert_every_second([time.isoformat() for (time,) in times])
        assert self.select("SELECT 1 FROM occurrences WHERE reason LIKE '%missed%'") == []
        query = "SELECT run_id || ' ' || number FROM attempts JOIN runs ON runs.id = run_id WHERE deployment = 'tick'"
        succeeded = {row for (row,) in self.select(f"{query} AND runs.state = 'succeeded'")}
        ticks = Counter((self.folder.root / "ticks").read_text().splitlines())
        assert set(ticks.values()) == {1}
        assert succeeded <= set(ticks) <= {row for (row,) in self.select(query)}

    def close(self) -> None:
        """Kill everything."""
        for member in self.members:
            member.close()
            for log in sorted(member.running.log.parent.glob("*.log")):
                assert "Traceback" not in log.read_text(), log


def check_terms(terms: list[int]) -> None:
    """Check that no commit of a term follows one of a later term. The first leader may fail before it commits."""
    assert terms
    assert terms == sorted(terms)
