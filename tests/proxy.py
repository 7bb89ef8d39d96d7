"""A proxy between a controller and a PostgreSQL server, which can disturb the connections through it."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from controller.state_url import StateUrl, parse_state_url
from tests.postgresql import USER

_CHUNK = 65536
_COMMIT = b"COMMIT\0"
_RESET = struct.pack("ii", 1, 0)

Cut = Literal["before", "answer", "hold"]
"""The fate of a COMMIT that is cut: it is lost, its answer is lost, or it arrives late. The client gets a reset."""


class Proxy:
    """Listens on 127.0.0.1, and forwards to the socket of a server. `target` may change; open connections keep theirs.

    `delay` is the number of seconds by which all data arrives late.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.delay = 0.0
        self.commits = 0
        self.passing = threading.Event()
        self.passing.set()
        self.released = threading.Event()
        self.cut: Cut | None = None
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def url(self, database: str) -> StateUrl:
        """The URL of a database of the server, through this proxy."""
        url = parse_state_url(f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}")
        assert url is not None
        return url

    def drop(self) -> None:
        """Forward nothing, in either direction, and accept new connections without an answer."""
        self.passing.clear()

    def restore(self) -> None:
        """Forward again, beginning with everything that was sent meanwhile."""
        self.passing.set()

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Forward nothing during the block."""
        self.drop()
        try:
            yield
        finally:
            self.restore()

    def reset(self) -> None:
        """Reset all connections."""
        for connection in self._open():
            connection.reset()

    def half_close(self, *, to_client: bool) -> None:
        """End one direction of all connections: the client or the server reads an end of file, and may still write."""
        for connection in self._open():
            connection.half_close(to_client=to_client)

    def close(self) -> None:
        """Stop listening, and reset all connections."""
        self._listener.close()
        self.released.set()
        self.passing.set()
        self.reset()

    def takes_cut(self) -> Cut | None:
        """Count a COMMIT. Return how to cut it; only the next one after `cut` was set is cut."""
        with self._lock:
            self.commits += 1
            cut, self.cut = self.cut, None
            return cut

    def _open(self) -> "list[_Connection]":
        with self._lock:
            self._connections = [each for each in self._connections if not each.is_closed]
            return list(self._connections)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self.target))
            except OSError:
                client.close()
                server.close()
                continue
            connection = _Connection(self, client, server)
            with self._lock:
                self._connections.append(connection)
            connection.start()


class _Connection:
    """One connection of a client, and the one to the server for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._loses_answer = False
        self._lock = threading.Lock()
        self._ended = 0
        self.is_closed = False

    def start(self) -> None:
        for source, sink in ((self._client, self._server), (self._server, self._client)):
            threading.Thread(target=self._pump, args=(source, sink), name="proxy", daemon=True).start()

    def reset(self) -> None:
        self._reset(self._client)
        self._reset(self._server)

    def half_close(self, *, to_client: bool) -> None:
        with suppress(OSError):
            (self._client if to_client else self._server).shutdown(socket.SHUT_WR)

    def _reset(self, end: socket.socket) -> None:
        self.is_closed = True
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.shutdown(socket.SHUT_RD)  # wakes the thread that reads
        end.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Forward one direction until it ends. Close the connection after both."""
        with suppress(OSError):
            self._forward(source, sink)
        with self._lock:
            self._ended += 1
            is_last = self._ended == 2
        if is_last:
            self.reset()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while True:
                data = source.recv(_CHUNK)
                if self._proxy.delay:
                    threading.Event().wait(self._proxy.delay)
                self._proxy.passing.wait()
                if not data:
                    break
                if source is self._client and _COMMIT in data and self._cuts(data):
                    return
                if source is self._server and self._loses_answer:
                    self.reset()
                    return
                sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def _cuts(self, data: bytes) -> bool:
        """Cut a COMMIT, if a cut is set. Return False if the COMMIT must be forwarded."""
        cut = self._proxy.takes_cut()
        if cut == "before":
            self.reset()
        elif cut == "hold":
            self._reset(self._client)
            self._proxy.released.wait()
            with suppress(OSError):
                self._server.sendall(data)
        else:
            self._loses_answer = cut == "answer"
            return False
        return True
