"""Fetches the code of a commit into the node's cache, and checks it before it is used again.

An entry has the folders and files that the supervisor's `export_mount` expects: `tree`, `pycache`, `doubt`. `package`
is the zip file that it was made from. Once a run could have changed the tree, and after a restart of the machine, the
tree is compared with it. `doubt` stays: another such run may be in progress.
"""

import hashlib
import os
import stat
import tempfile
import zipfile

from controller.runs.executors.node.cache import CODE, Cache, delete
from controller.runs.executors.node.connection import Connection, UnansweredError

TREE, PYCACHE = "tree", "pycache"
_PACKAGE, _DOUBT, _BOOT = "package", "doubt", "boot"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_CHUNK = 1 << 20


def find_or_fetch(cache: Cache, connection: Connection, digest: str) -> str:
    """Return the folder of a code package, which nobody removes while this process lives.

    Raises OSError, UnansweredError, RefusedError.
    """
    return cache.find_or_make(CODE, digest, _is_unchanged, lambda folder: _fetch(connection, digest, folder))


def unpack(package: str, target: str) -> None:
    """Unpack a zip file with its permissions and symbolic links into a new folder. Raises OSError."""
    os.mkdir(target, 0o700)
    links = []
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            path = _path_of(entry, target)
            mode = entry.external_attr >> 16
            if entry.is_dir():
                os.makedirs(path, exist_ok=True)
            elif stat.S_ISLNK(mode):
                links.append((archive.read(entry).decode(), path))
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "xb") as stream:
                    stream.write(archive.read(entry))
                os.chmod(path, 0o555 if mode & 0o100 else 0o444)
    for text, path in links:  # last, so that no file is written through one
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(text, path)
    for path, _, _ in os.walk(target):
        os.chmod(path, 0o555)


def _fetch(connection: Connection, digest: str, folder: str) -> None:
    new = tempfile.mkdtemp(prefix="new-", dir=os.path.dirname(folder))
    try:
        content = hashlib.sha256()
        with open(f"{new}/{_PACKAGE}", "wb") as stream:

            def write(data: bytes) -> None:
                content.update(data)
                stream.write(data)

            connection.download(f"/node/v1/packages/{digest}", write)
        if content.hexdigest() != digest:
            raise UnansweredError("the code package is incomplete")
        try:
            unpack(f"{new}/{_PACKAGE}", f"{new}/{TREE}")
        except (zipfile.BadZipFile, ValueError) as error:
            raise OSError(f"the code package can't be unpacked: {error}") from error
        _write(f"{new}/{_BOOT}", _boot_id())
        os.rename(new, folder)
    except BaseException:
        delete(new)
        raise


def _is_unchanged(folder: str) -> bool:
    """Return whether the tree is there and has the content of the package; compare them only if it may have changed."""
    try:
        if not os.path.exists(f"{folder}/{_DOUBT}") and _read(f"{folder}/{_BOOT}") == _boot_id():
            return True
        digest = os.path.basename(folder).partition(".")[0]
        if _digest_of(f"{folder}/{_PACKAGE}") != digest or not _is_equal(f"{folder}/{_PACKAGE}", f"{folder}/{TREE}"):
            return False
        _write(f"{folder}/{_BOOT}", _boot_id())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return True


def _is_equal(package: str, tree: str) -> bool:
    """Return whether a folder contains what the zip file contains, and nothing else."""
    found = {os.path.join(path, name) for path, folders, files in os.walk(tree) for name in (*folders, *files)}
    expected = set()
    with zipfile.ZipFile(package) as archive:
        for entry in archive.infolist():
            path = _path_of(entry, tree)
            while path != tree and path not in expected:
                expected.add(path)
                path = os.path.dirname(path)
            if not entry.is_dir() and not _has_content(_path_of(entry, tree), entry, archive.read(entry)):
                return False
    return found == expected


def _has_content(path: str, entry: zipfile.ZipInfo, content: bytes) -> bool:
    mode = entry.external_attr >> 16
    status = os.lstat(path)
    if stat.S_ISLNK(mode) or stat.S_ISLNK(status.st_mode):
        return stat.S_ISLNK(mode) and stat.S_ISLNK(status.st_mode) and os.readlink(path) == content.decode()
    if not stat.S_ISREG(status.st_mode) or bool(status.st_mode & 0o100) != bool(mode & 0o100):
        return False
    with open(path, "rb") as stream:
        return stream.read(len(content) + 1) == content


def _path_of(entry: zipfile.ZipInfo, target: str) -> str:
    """Return where an entry belongs. Raises ValueError for a name that leads out of the folder."""
    name = entry.filename.rstrip("/")
    if not name or name.startswith("/") or {"", ".", ".."} & set(name.split("/")):
        raise ValueError(f"unexpected name {entry.filename!r}")
    return f"{target}/{name}"


def _digest_of(path: str) -> str:
    content = hashlib.sha256()
    with open(path, "rb") as stream:
        while data := stream.read(_CHUNK):
            content.update(data)
    return content.hexdigest()


def _boot_id() -> str:
    return _read(_BOOT_ID)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)
