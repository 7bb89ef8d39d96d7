"""A peer that speaks the node API for tests of the runner alone, and can be cut off, refuse, and lose data.

The contract suite uses the real desk of the controller. This peer answers exactly what a test prescribes.
"""

import hashlib
import io
import json
import ssl
import threading
import zipfile
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from controller.runs.executors.node.package import runner_files

NONCE = "c0ffee"
ROOT = f"/controller-code-{NONCE}"
JOB = "c-run-1-c0ffee"
TICKET = "ticket"
GRACE = 0.3
CUT = 0


def zip_of(files: Mapping[str, "str | bytes"], *, executable: tuple[str, ...] = ()) -> bytes:
    """Return a zip file with these files, with modes as of an export."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(entry, content)
    return data.getvalue()


def runner_zip() -> bytes:
    """Return the runner's package."""
    return zip_of({name: path.read_bytes() for name, path in runner_files().items()})


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class NodePeer:
    """The node API of one attempt.

    `order`: the answer to `fetch`. `start`: the answer to `start`. `failures`: the next answers by the name of a
    request, as (status, Retry-After). The status `CUT` handles the request and cuts off the answer. `requests` counts
    them. `instance` is the first that asked to start.
    """

    def __init__(
        self,
        order: dict[str, Any],
        packages: Mapping[str, bytes],
        start: dict[str, Any],
        certificate: Path | None = None,
    ) -> None:
        self.order = order
        self.packages = dict(packages)
        self.start = start
        self.failures: dict[str, list[tuple[int, str]]] = {}
        self.requests: Counter[str] = Counter()
        self.files = {"log": b"", "events": b""}
        self.instance: str | None = None
        self.introduction: dict[str, Any] = {}
        self.failed: str | None = None
        self.ending: dict[str, Any] | None = None
        self.is_cancelled = False
        self.beat_seconds = 0.2
        self.is_cut_off = False
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"peer": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/prefix"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, str, bool]:
        """Return status, content and Retry-After for one request, and whether to cut off the answer."""
        name = path.split("?")[0].rpartition("/")[2]
        if "/packages/" in path:
            name = "packages"
        with self._lock:
            self.requests[name] += 1
            status, pause = self.failures[name].pop(0) if self.failures.get(name) else (200, "")
            if status not in (200, CUT):
                return status, {"detail": "as the test wants it"}, pause, False
            if headers["Authorization"] != f"Bearer {TICKET}" or len(headers["X-Instance"]) != 32:
                return 401, {}, "", False
            return (*self._answer(name, path, headers["X-Instance"], body), "", status == CUT)

    def _answer(self, name: str, path: str, instance: str, body: bytes) -> tuple[int, Any]:
        if name == "fetch":
            return 200, self.order
        if name == "packages":
            return 200, self.packages[path.rpartition("/")[2]]
        if name == "fail":
            return self._fail(json.loads(body))
        if self.ending is not None or self.instance not in (None, instance):
            return 409, {"detail": "the attempt is over, or another instance has it"}
        if name == "start":
            self.instance, self.introduction = instance, json.loads(body)
            return 200, self.start
        if name in self.files:
            if int(path.rpartition("=")[2]) == len(self.files[name]):
                self.files[name] += body
            return 200, {"offset": len(self.files[name])}
        if name == "beat":
            return 200, {"cancel": self.is_cancelled, "next": self.beat_seconds}
        self.ending = json.loads(body)
        return 200, {}

    def _fail(self, said: dict[str, Any]) -> tuple[int, Any]:
        if self.instance is not None:
            return 409, {"detail": "it has started"}
        self.failed = said["reason"]
        return 200, {}


class _Handler(BaseHTTPRequestHandler):
    peer: ClassVar[NodePeer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.peer.is_cut_off:
            self.close_connection = True
            return
        assert self.path.startswith("/prefix/node/v1/")
        status, said, pause, is_cut = self.peer.answer(self.path, dict(self.headers.items()), body)
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if pause:
            self.send_header("Retry-After", pause)
        self.end_headers()
        self.wfile.write(content[:-1] if is_cut else content)
        self.close_connection = self.close_connection or is_cut

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def order_of(root: Path | None = None, **more: Any) -> dict[str, Any]:
    """Return an order without code; `more` replaces keys of it."""
    spec: dict[str, Any] = {
        "cwd": str(root) if root else ROOT,
        "env": {},
        "timeout": None,
        "grace": GRACE,
        "log_bytes": None,
        "resources": None,
        "skip_exit_code": None,
        "secrets": {},
        "working_directory": "",
        "open_files": None,
        "tmp": ["/tmp"],
    }
    spec |= more.pop("spec", {})
    order = {"nonce": NONCE, "code": None, "runner": "", "python": None, "call": None, "argv": None, "on_silence": None}
    return {**order, **more, "spec": spec}
