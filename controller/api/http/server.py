"""The HTTP server: on a thread of its own, beside the work. Whether it is up or not, flows run.

It answers at the Unix socket of the state directory, where the command line asks, and at an address if there is to be
one. FastAPI and uvicorn are imported on its thread at the first connection: a controller that nobody asks does without
the 25 MB that they take.
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

from controller.api.http.credentials import Credentials
from controller.api.http.sockets import bind_address, bind_path
from controller.errors import ControllerError, UsageError
from controller.runs.executors.local.supervisor.poll import ready
from controller.settings import Listen

if TYPE_CHECKING:
    from controller.api.http.protocol import QuietServer

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 3.0
Build = Callable[["HttpServer"], Any]


class HttpServer:
    """Serves what `build` makes of it, once it is started. `build` is called on the server's thread.

    `path` is that of the Unix socket; without `listen` there is no other.
    """

    def __init__(self, path: Path, listen: Listen | None, credentials: Credentials, build: Build) -> None:
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
        """The port that it is bound to, or is to be; 0 without an address."""
        if self._socket is not None:
            return int(self._socket.getsockname()[1])
        return 0 if self._listen is None else self._listen.port

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by https."""
        listen = self._listen
        return listen is not None and (listen.certificate is not None or listen.is_behind_proxy)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie: browsers don't tell ports apart, and there may be several of us."""
        return f"controller_{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """What the header `Host` may say: where it is bound, and what the operator says that it is called."""
        if self._listen is None:
            return frozenset()
        host = self._listen.host
        names = {*self._listen.public_hosts, *([] if host in ("0.0.0.0", "::") else [host])}
        if self._listen.is_loopback:
            names |= {"localhost", "127.0.0.1", "::1"}
        found = set()
        for name in names:
            bare = f"[{name}]" if ":" in name else name
            found |= {f"{bare}:{self.port}".lower()}
            if name in self._listen.public_hosts:
                found.add(bare.lower())
        return frozenset(found)

    @property
    def url(self) -> str | None:
        """Where a browser of this machine finds it, or one elsewhere if it has a public name; None if none does."""
        if self._listen is None:
            return None
        if self._listen.is_behind_proxy and self._listen.public_hosts:
            return f"https://{self._listen.public_hosts[0]}"
        scheme = "http" if self._listen.certificate is None else "https"
        host = self._listen.public_hosts[0] if self._listen.public_hosts else self._listen.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def login_link(self) -> str:
        """A link that opens one session, once. Raises UsageError while nothing is served."""
        if self._socket is None:
            raise UsageError("This controller serves no dashboard.", hint="Start it with --listen 127.0.0.1:4200.")
        # After the `#`, so that it reaches neither the log of a proxy nor another page.
        return f"{self.url}/login#{self._credentials.new_code()}"

    def start(self) -> None:
        """Bind and serve. Raises UsageError for an address that was asked for and can't be had, StateError."""
        if self._listen is not None:
            _check_certificate(self._listen)
            self._socket = _bind(self._listen)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._control = bind_path(self._path)
        self._control_file = self._path.lstat()
        self._thread.start()
        if self._socket is not None:
            log.info("Dashboard", extra={"url": self.url, "hint": "`controller login` prints a link that opens it"})

    def close(self) -> None:
        """Serve no more; streams end. May be called again."""
        if self._control is None:
            return
        os.write(self._wake_write, b"e")
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join(_CLOSE_SECONDS + 1)
        self._unlink()
        for one in self._sockets:
            one.close()
        self._socket = self._control = None
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)

    def _unlink(self) -> None:
        """Remove the socket's file, unless another controller has put its own there."""
        with contextlib.suppress(OSError):
            if self._control_file is not None and os.path.samestat(self._path.lstat(), self._control_file):
                self._path.unlink()

    @property
    def _sockets(self) -> list[socket.socket]:
        return [one for one in (self._control, self._socket) if one is not None]

    def _end(self) -> None:
        self.on_close()
        if self._server is not None:
            self._server.end()

    def _serve(self) -> None:
        try:
            if self._is_wanted():
                self._server = self._make()
                asyncio.run(self._live())
        except ControllerError as error:
            log.error("HTTP is not served", extra={"reason": error.reason, "error": error.message})
        except Exception:
            log.exception("The HTTP server failed; flows go on without it")

    def _is_wanted(self) -> bool:
        """Wait for a connection; False if the end comes before."""
        return self._wake_read not in ready([self._wake_read, *(one.fileno() for one in self._sockets)], None)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._is_wanted():
            return
        assert self._server is not None
        from anyio.to_thread import current_default_thread_limiter

        from controller.api.http.protocol import MAX_WORKERS

        current_default_thread_limiter().total_tokens = MAX_WORKERS
        await self._server.serve(sockets=self._sockets)

    def _make(self) -> "QuietServer":
        import uvicorn

        from controller.api.http import protocol

        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        logging.getLogger("uvicorn").propagate = False
        config = uvicorn.Config(
            self._build(self),
            http=protocol.PatientProtocol,
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
    """Raises UsageError now for a certificate that could not be used later."""
    if listen.certificate is None:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listen.certificate, listen.key)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"{listen.certificate} and its key can't be used: {error}.") from error


def _bind(listen: Listen) -> socket.socket | None:
    """At this address; None, with a word in the log, if it is taken and nobody has asked for it."""
    try:
        return bind_address(listen.host, listen.port)
    except OSError as error:
        where, why = f"{listen.host}:{listen.port}", error.strerror or str(error)
        if listen.is_explicit:
            raise UsageError(f"--listen {where}: {why}.", hint="Choose another port, or --listen none.") from error
        log.warning(
            "No dashboard: the address is taken, perhaps by another controller",
            extra={"address": where, "error": why, "hint": "choose another with --listen HOST:PORT"},
        )
        return None
