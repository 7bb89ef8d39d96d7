"""The controller's side of the fork server: started with the engine, asked by one message, given up when it fails.

Called by the launcher, from the engine's thread only. A request that can't be delivered at once is refused, and the
launcher starts cold. Whether a delivered one was heard shows on the supervisor's own socket, never here.
"""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import controller
from controller.clock import Clock
from controller.runs.executors.local.supervisor.cold_start import IMPORT
from controller.runs.executors.local.supervisor.process_title import ROOM

log = logging.getLogger(__name__)

PACKAGE = Path(controller.__file__).parents[1]
_SERVE = IMPORT + "from controller.runs.executors.local.supervisor.fork_server import main; sys.exit(main(path))"
_ROOM_FOR_TITLES = "-" * 200
_ROOM_FOR_VALUES = {name: "-" * size for name, size in ROOM.items()}

RESTART_SECONDS = 10.0
END_SECONDS = 2.0


class ForkServer:
    """One server for this interpreter. `environment`: what flows begin with, and so what it has to begin with."""

    def __init__(self, environment: Mapping[str, str], clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._may_start_at = clock.monotonic()

    def ask(self, directory: Path, own: socket.socket) -> bool:
        """Have it fork a supervisor for this directory, with `own` as its socket. False: it was not asked."""
        if self._process is not None and self._process.poll() is not None:
            log.warning("The fork server ended; runs start cold for a while", extra={"code": self._process.returncode})
            self.stop()
        self.start()
        if self._socket is None:
            return False
        try:
            socket.send_fds(self._socket, [os.fsencode(directory)], [own.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it, however it is; the supervisors that it forked go on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            try:
                self._process.wait(0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @property
    def pid(self) -> int | None:
        """Its process, while it is thought to run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it unless it runs. One that keeps ending is started every ten seconds at most."""
        if self._process is not None or self._clock.monotonic() < self._may_start_at:
            return
        self._may_start_at = self._clock.monotonic() + RESTART_SECONDS
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _SERVE, str(PACKAGE), _ROOM_FOR_TITLES],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**self._environment, **_ROOM_FOR_VALUES},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                log.warning("The fork server can't be started; runs start cold", extra={"error": str(error)})
                self.stop()
