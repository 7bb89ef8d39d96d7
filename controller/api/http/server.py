"""Runs the HTTP server on a thread of its own. Flows run whether or not it works.

The server listens on the Unix socket in the state directory, which the command line uses, and on a TCP address if one
is configured. FastAPI and uvicorn are imported on its thread at the first connection, which saves 35 MB until then.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller import c_heap
from controller.api.http.credentials import Credentials
from controller.api.http.lean_import import import_fastapi, without_pydantic_v1
from controller.api.http.sockets import bind_address, bind_path
from controller.errors import ControllerError, UsageError
from controller.listen_settings import Listen
from controller.runs.executors.local.supervisor.poll import ready

if TYPE_CHECKING:
    from controller.api.http.protocol import QuietServer

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 3.0
Build = Callable[["HttpServer"], Any]


class HttpServer:
    """Serves the application that `build` returns; `build` is called on the server's thread.

    `path` is the Unix socket, if there is one. Without `listen`, the server has no TCP address. `further_hosts`:
    accepted values of the `Host` header, in addition to those of `listen`.
    """

    further_hosts: frozenset[str] = frozenset()

    def __init__(self, path: Path | None, listen: Listen | None, credentials: Credentials, build: Build) -> None:
        self._path = path
        self._listen = listen
        self._credentials = credentials
        self._build = build
        self._control: socket.socket | None = None
        self._control_file: os.stat_result | None = None
        self._socket: socket.socket | None = None
        self._server: QuietServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake_read = self._wake_write = -1
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self.on_close: Callable[[], None] = lambda: None

    @property
    def port(self) -> int:
        """The port that the server is bound to, or the configured one before that; 0 without an address."""
        if self._socket is not None:
            return int(self._socket.getsockname()[1])
        return 0 if self._listen is None else self._listen.port

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the server by https."""
        listen = self._listen
        return listen is not None and (listen.certificate is not None or listen.is_behind_proxy)

    @property
    def cookie(self) -> str:
        """The name of the session cookie, with the port in it: all ports of a host share their cookies."""
        return f"controller_{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """The accepted values of the `Host` header: the bound address and the configured public host names."""
        if self._listen is None:
            return self.further_hosts
        host = self._listen.host
        names = {*self._listen.public_hosts, *([] if host in ("0.0.0.0", "::") else [host])}
        if self._listen.is_loopback:
            names |= {"localhost", "127.0.0.1", "::1"}
        hosts = set()
        for name in names:
            bare = f"[{name}]" if ":" in name else name
            hosts |= {f"{bare}:{self.port}".lower()}
            if name in self._listen.public_hosts:
                hosts.add(bare.lower())
        return self.further_hosts.union(hosts)

    @property
    def is_bound(self) -> bool:
        """Whether an address is bound. The default address may be in use; the server then runs without it."""
        return self._socket is not None

    @property
    def url(self) -> str | None:
        """The URL for browsers, with the public host name if there is one; None without an address."""
        if self._listen is None:
            return None
        if self._listen.is_behind_proxy and self._listen.public_hosts:
            return f"https://{self._listen.public_hosts[0]}"
        scheme = "http" if self._listen.certificate is None else "https"
        host = self._listen.public_hosts[0] if self._listen.public_hosts else self._listen.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def login_link(self) -> str:
        """Return a link that opens one session, once. Raises UsageError if no TCP address is served."""
        if self._socket is None:
            raise UsageError(
                "This controller does not serve the dashboard.", hint="Start it with --listen 127.0.0.1:4200."
            )
        # The code is in the fragment, so that it reaches neither the log of a proxy nor the Referer header.
        return f"{self.url}/login#{self._credentials.new_code()}"

    def start(self) -> None:
        """Bind and serve. Raises UsageError if an explicit address cannot be bound, StateError if the socket cannot."""
        if self._listen is not None:
            _check_certificate(self._listen)
            self._socket = _bind(self._listen)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._path is not None:
            try:
                self._control = bind_path(self._path)
            except BaseException:
                self._close_descriptors()
                raise
            self._control_file = self._path.lstat()
        self._thread.start()
        if self._socket is not None and self._path is not None:
            log.info("Dashboard", extra={"url": self.url, "hint": "run `controller login` to get a login link"})

    def close(self) -> None:
        """Stop serving and end the streams. Does nothing if called again."""
        if self._wake_write < 0:
            return
        os.write(self._wake_write, b"e")
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has already ended
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join(_CLOSE_SECONDS + 1)
        self._unlink()
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for listener in self._sockets:
            listener.close()
        self._socket = self._control = None
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)
        self._wake_read = self._wake_write = -1

    def _unlink(self) -> None:
        """Remove the socket file, unless another controller has replaced it by its own."""
        with contextlib.suppress(OSError):
            path, file = self._path, self._control_file
            if path is not None and file is not None and os.path.samestat(path.lstat(), file):
                path.unlink()

    @property
    def _sockets(self) -> list[socket.socket]:
        return [listener for listener in (self._control, self._socket) if listener is not None]

    def _end(self) -> None:
        self.on_close()
        if self._server is not None:
            self._server.end()

    def _serve(self) -> None:
        try:
            if self._wait_for_connection():
                import_fastapi()
                with without_pydantic_v1():
                    self._server = self._create_server()
                c_heap.return_free_memory()
                asyncio.run(self._serve_requests())
        except ControllerError as error:
            log.error("The HTTP server did not start", extra={"reason": error.reason, "error": error.message})
        except Exception:
            log.exception("The HTTP server failed; flows keep running without it")

    def _wait_for_connection(self) -> bool:
        """Wait for a connection. Return False if the server is closed before one arrives."""
        descriptors = [self._wake_read, *(listener.fileno() for listener in self._sockets)]
        return self._wake_read not in ready(descriptors, None)

    async def _serve_requests(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._wait_for_connection():
            return
        assert self._server is not None
        from anyio.to_thread import current_default_thread_limiter

        from controller.api.http.protocol import MAX_WORKERS

        current_default_thread_limiter().total_tokens = MAX_WORKERS
        await self._server.serve(sockets=self._sockets)

    def _create_server(self) -> "QuietServer":
        import uvicorn

        from controller.api.http import protocol

        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        logging.getLogger("uvicorn").propagate = False
        config = uvicorn.Config(
            self._build(self),
            http=protocol.TimeoutProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=protocol.KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(_CLOSE_SECONDS),
            h11_max_incomplete_event_size=protocol.MAX_HEAD_BYTES,
            ssl_certfile=None if self._listen is None else self._listen.certificate,
            ssl_keyfile=None if self._listen is None else self._listen.key,
        )
        return protocol.QuietServer(config)


def _check_certificate(listen: Listen) -> None:
    """Raise UsageError if the certificate and key cannot be used."""
    if listen.certificate is None:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listen.certificate, listen.key)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"Cannot use the certificate {listen.certificate} and its key: {error}.") from error


def _bind(listen: Listen) -> socket.socket | None:
    """Bind the TCP address. If the default address is in use, log a warning and return None.

    Raises UsageError if an explicit address cannot be bound.
    """
    try:
        return bind_address(listen.host, listen.port)
    except OSError as error:
        address, cause = f"{listen.host}:{listen.port}", error.strerror or str(error)
        if listen.is_explicit:
            raise UsageError(f"{listen.option} {address}: {cause}.", hint="Choose another port, or none.") from error
        log.warning(
            "Dashboard not available: the address is in use, perhaps by another controller",
            extra={"address": address, "error": cause, "hint": "choose another with --listen HOST:PORT"},
        )
        return None
