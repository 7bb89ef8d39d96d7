"""A package index on the loopback interface for tests, with tiny wheels that the tests make, and a counted uv."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from uv import find_uv_bin

_PATIENCE_SECONDS = 60
_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(slots=True)
class PackageIndex:
    """An index (PEP 691). Tests change it while it is running: `status` is the answer to everything, if set."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    status: int | None = None
    is_stalled: bool = False
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def add(
        self,
        name: str,
        version: str,
        *,
        requires: Sequence[str] = (),
        modules: Mapping[str, str] | None = None,
        uploaded: str | None = None,
        is_yanked: bool = False,
        is_replaced: bool = False,
    ) -> str:
        """Publish a wheel, whose module has `__version__`. Return its requirement with its hash, as in a lock."""
        file = f"{name}-{version}-py3-none-any.whl"
        content = make_wheel(name, version, requires, modules or {})
        digest = hashlib.sha256(content).hexdigest()
        served = make_wheel(name, version, requires, {"other.py": ""}) if is_replaced else content
        self._publish(name, file, served, digest, uploaded, is_yanked)
        return f"{name}=={version} --hash=sha256:{digest}"

    def add_source(self, name: str, version: str, setup: str) -> str:
        """Publish a source distribution without a wheel. Return its requirement with its hash."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            metadata = f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n"
            for path, text in (("setup.py", setup), ("PKG-INFO", metadata)):
                info = tarfile.TarInfo(f"{name}-{version}/{path}")
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
        digest = hashlib.sha256(stream.getvalue()).hexdigest()
        self._publish(name, f"{name}-{version}.tar.gz", stream.getvalue(), digest, None, is_yanked=False)
        return f"{name}=={version} --hash=sha256:{digest}"

    def _publish(
        self, name: str, file: str, content: bytes, digest: str, uploaded: str | None, is_yanked: bool
    ) -> None:
        self.files[file] = content
        entry = {"filename": file, "url": f"/files/{file}", "hashes": {"sha256": digest}, "yanked": is_yanked}
        self.pages.setdefault(name, []).append(entry if uploaded is None else {**entry, "upload-time": uploaded})


def make_wheel(name: str, version: str, requires: Sequence[str], modules: Mapping[str, str]) -> bytes:
    """Return a wheel with a package of its name, and further modules by path."""
    info = f"{name}-{version}.dist-info"
    metadata = "".join(f"{line}\n" for line in ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"))
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{name}/__init__.py": f"__version__ = {version!r}\n", **modules}
    files |= {f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return stream.getvalue()


@contextmanager
def served_index() -> Iterator[PackageIndex]:
    """Serve an empty index until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.requests.append(self.path)
            if index.is_stalled:
                index.stalled.set()
                index.release.wait(_PATIENCE_SECONDS)
            kind, _, name = self.path.strip("/").partition("/")
            if index.status is not None:
                self._answer(index.status, b"", "text/plain")
            elif kind == "files" and name in index.files:
                self._answer(200, index.files[name], "application/octet-stream")
            elif kind == "simple" and name in index.pages:
                page = {"meta": {"api-version": "1.1"}, "name": name, "files": index.pages[name]}
                self._answer(200, json.dumps(page).encode(), _JSON)
            else:
                self._answer(404, b"", "text/plain")

        do_HEAD = do_GET

        def _answer(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "max-age=0")
            self.end_headers()
            try:
                self.wfile.write(content if self.command == "GET" else b"")
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index = PackageIndex(url=f"http://127.0.0.1:{server.server_address[1]}/simple")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield index
    finally:
        index.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True, slots=True)
class CountedUv:
    """A program that writes down how it was called, and then is uv."""

    program: Path
    calls_file: Path

    @property
    def calls(self) -> list[str]:
        """The calls so far, each with its first two arguments: `pip sync`, `venv --no-project`."""
        return self.calls_file.read_text(encoding="utf-8").splitlines() if self.calls_file.exists() else []

    def count(self, command: str) -> int:
        """Return how often this command was called."""
        return sum(call.startswith(command) for call in self.calls)


def counted_uv(directory: Path) -> CountedUv:
    """Create such a program in this directory."""
    program, calls = directory / "counted-uv", directory / "calls"
    script = f'#!/bin/sh\nshift 2\necho "$1 $2" >> {calls}\nexec {find_uv_bin()} --color never "$@"\n'
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    return CountedUv(program=program, calls_file=calls)
