"""The fork servers of Python environments: one for each that runs use, started on first use.

Called by the launcher, on the engine's thread only; other threads may read `problem` and `count`. A run whose
server is not ready starts its flow in a new interpreter of the environment.
"""

from collections.abc import Mapping
from pathlib import Path
from socket import socket

from controller.clock import Clock
from controller.model.python_environments import PythonRuntime
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.interpreter import search_path

IDLE_SECONDS = 600.0
MAX_SERVERS = 8


class PythonServers:
    """At most `MAX_SERVERS` fork servers. One that no run has used for ten minutes is stopped."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self._servers: dict[PythonRuntime, ForkServer] = {}  # in the order of their last use

    def request_fork(self, python: PythonRuntime, sdk: Path, directory: Path, supervisor_socket: socket) -> bool:
        """Request a supervisor from the server of this environment. Return False if the request was not sent."""
        server = self._servers.pop(python, None)
        if server is None:
            environment = {**self._environment, "PATH": search_path(python, self._environment.get("PATH", ""))}
            server = ForkServer(environment, self._clock, python, sdk)
        self._servers[python] = server
        running = [key for key, other in self._servers.items() if other.pid is not None]
        for key in running[: max(0, len(running) - MAX_SERVERS + (server.pid is None))]:
            self._servers.pop(key).stop()
        return server.request_fork(directory, supervisor_socket)

    def stop_idle(self) -> None:
        """Stop the servers that no run has used for ten minutes, and read what the others report."""
        for python, server in list(self._servers.items()):
            server.check()
            if self._clock.monotonic() >= server.used_at + IDLE_SECONDS and server.problem is None:
                self._servers.pop(python).stop()

    def stop(self) -> None:
        """Stop all servers. Supervisors keep running."""
        for server in self._servers.values():
            server.stop()

    def find(self, python: PythonRuntime) -> ForkServer | None:
        """Return the server of this environment, if a run has used it."""
        return self._servers.get(python)

    def count(self) -> int:
        """Return the number of servers that run."""
        return sum(server.pid is not None for server in list(self._servers.values()))

    def problem(self, digest: str) -> str | None:
        """Return why the runs of the environment with this digest have no fork server; None if they can."""
        servers = [server for python, server in list(self._servers.items()) if python.digest == digest]
        return next((server.problem for server in servers if server.problem is not None), None)
