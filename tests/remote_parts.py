"""The parts of a controller that remote attempts need, in front of a job engine: desk, node API and executor."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from controller.api.http.application import make_node_application
from controller.api.http.credentials import Credentials
from controller.api.http.server import HttpServer
from controller.clock import Clock, SystemClock
from controller.listen_settings import Listen
from controller.runs.executors.remote.attempt_records import AttemptRecords
from controller.runs.executors.remote.executor import RemoteExecutor, RemoteSettings
from controller.runs.executors.remote.job_engine import JobEngine
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.packages import CodePackages
from controller.store import Store
from tests.process_engine import ProcessEngine

_FIRST_PORT, _PORTS = 20000, 12000


class AdvancedClock(SystemClock):
    """The machine's clock, plus the time that a test lets pass at once."""

    def __init__(self) -> None:
        self.advance = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.advance)

    def monotonic(self) -> float:
        return super().monotonic() + self.advance

    def elapsed(self) -> float:
        return super().elapsed() + self.advance


@dataclass(slots=True)
class RemoteController:
    """The parts of one controller after the other: `open` makes new ones with the same address, `close` ends them."""

    state: Path
    store: Store
    clock: Clock
    engine: JobEngine
    port: int
    grace: timedelta
    launch_pause: float = 0.0
    desk: NodeDesk = field(init=False)
    _server: HttpServer | None = None

    def open(self) -> RemoteExecutor:
        """Start the node API, and return the executor."""
        runs = self.state / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        records = AttemptRecords(self.store, self.clock)
        packages = CodePackages(self.state / "packages")
        self.desk = desk = NodeDesk(
            records, packages, self.clock, runs_directory=runs, read_secrets=lambda places: dict.fromkeys(places)
        )
        credentials = Credentials(self.state, self.clock)

        def build(server: HttpServer) -> object:
            return make_node_application(desk, server.hosts, credentials, self.clock)

        self._server = HttpServer(self.state / "socket", Listen(port=self.port), credentials, build)
        self._server.start()
        settings = RemoteSettings(directory=runs, node_url=f"http://127.0.0.1:{self.port}", grace=self.grace)
        executor = RemoteExecutor(self.engine, desk, packages, records, self.clock, settings)
        executor.launch_pause = self.launch_pause
        return executor

    def close(self) -> None:
        """Stop the node API."""
        if self._server is not None:
            self._server.close()
            self._server = None


def free_port() -> int:
    """Return a free port outside the range for clients: a runner that repeats requests must not connect to itself."""
    start = time.time_ns() // 1000
    for number in range(_PORTS):
        port = _FIRST_PORT + (start + number) % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


@contextmanager
def passing_time(executor: RemoteExecutor, engine: ProcessEngine, clock: AdvancedClock) -> Iterator[None]:
    """Do the periodic work of the executor often, and let time pass while no runner lives."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.1):
            if not any(engine.runners(job) for job in engine.jobs):
                clock.advance += 5
            executor.maintain()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
