"""Packs the code of a commit, and the program that runs on nodes, into zip files that nodes fetch by their SHA-256.

The same content always gives the same file: times are fixed, names are sorted, and modes and symbolic links are kept.
Thread-safe.
"""

import hashlib
import os
import shutil
import stat
import tempfile
import threading
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from controller.errors import SourceError
from controller.runs.executors.node.package import runner_files

KEPT = 8
"""How many packages that no attempt needs are kept for the next one."""
_TIME = (1980, 1, 1, 0, 0, 0)
_FOLDER = 0x10


class CodePackages:
    """The packages in `directory`, which is created when it is needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._digests: dict[Path, str] = {}
        self._runner: str | None = None

    def pack_code(self, root: Path, *, is_pinned: bool = True) -> str:
        """Pack all files below `root`; return the digest. With `is_pinned`, they never change.

        Raises OSError; SourceError: a name is not UTF-8.
        """
        with self._lock:
            digest = self._digests.get(root) if is_pinned else None
            if digest is None or not self._path(digest).exists():
                digest = self._digests[root] = self._pack(
                    (file.relative_to(root).as_posix(), file) for file in _walk(root)
                )
            self._touch(digest)
            return digest

    def pack_runner(self) -> str:
        """Pack the program that runs on nodes; return the digest. Raises OSError."""
        with self._lock:
            if self._runner is None or not self._path(self._runner).exists():
                self._runner = self._pack(runner_files().items())
            self._touch(self._runner)
            return self._runner

    def find(self, digest: str) -> Path | None:
        """Return the file of a package, if it exists."""
        path = self._path(digest)
        return path if path.is_file() else None

    def remove_unused(self, needed: Collection[str]) -> None:
        """Remove the packages that have not been used for the longest time, except the `needed` ones."""
        with self._lock:
            others = [path for path in self._directory.glob("*.zip") if path.stem not in {*needed, self._runner}]
            for path in sorted(others, key=_used_at, reverse=True)[KEPT:]:
                path.unlink(missing_ok=True)
            self._digests = {root: digest for root, digest in self._digests.items() if self._path(digest).exists()}

    def _pack(self, files: Iterable[tuple[str, Path]]) -> str:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._directory, suffix=".new")
        new = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as package:
                    for path, file in files:
                        _add(package, path, file)
                stream.flush()
                os.fsync(stream.fileno())
                stream.seek(0)
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            new.rename(self._path(digest))
        finally:
            new.unlink(missing_ok=True)
        return digest

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest}.zip"

    def _touch(self, digest: str) -> None:
        with suppress(OSError):
            os.utime(self._path(digest))


def _walk(root: Path) -> Iterator[Path]:
    """Yield all files, symbolic links and empty folders below `root`, in a fixed order."""
    for name, folders, files in os.walk(root):
        folder = Path(name)
        folders.sort()
        links = [name for name in folders if (folder / name).is_symlink()]
        yield from (folder / name for name in sorted([*files, *links]))
        if not (folders or files) and folder != root:
            yield folder


def _add(package: zipfile.ZipFile, name: str, file: Path) -> None:
    status = file.lstat()
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise SourceError(f"{shown}: the name is not UTF-8, so the code can't be sent to a node.") from None
    is_folder = stat.S_ISDIR(status.st_mode)
    info = zipfile.ZipInfo(f"{name}/" if is_folder else name, _TIME)
    info.create_system = 3  # Unix: the upper half of the attributes is the mode
    kind = stat.S_IFMT(status.st_mode)
    mode = 0o777 if kind == stat.S_IFLNK else 0o755 if status.st_mode & 0o100 else 0o644
    info.external_attr = (kind | mode) << 16 | (_FOLDER if is_folder else 0)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.file_size = status.st_size
    if kind == stat.S_IFREG:
        with file.open("rb") as content, package.open(info, "w") as packed:
            shutil.copyfileobj(content, packed, 1 << 20)
    else:
        package.writestr(info, b"" if is_folder else os.fsencode(file.readlink()))


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
