"""The contents of a source at one revision. `sources` creates them, `manifests` reads them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from operator import is_not
from typing import Protocol

from controller.records import dataclass

PROJECT_FILE = "controller.yaml"
"""The file at the root of the repository with settings for all of its deployments. It is not a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One manifest. `path` is relative to the repository root, with `/`. `digest` identifies the `content`."""

    path: str
    content: bytes
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedFile:
    """A file at the path of a manifest that must not be read: a symbolic link, a device, or a file that is too big."""

    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All manifests of one revision, sorted by path.

    `revision` is `main@sha1:<commit>` for a git source and `dir@sha256:<digest>` for a plain directory. `project` is
    the file PROJECT_FILE, or None if it does not exist.
    """

    revision: str
    files: tuple[ManifestFile, ...]
    refused: tuple[RefusedFile, ...] = ()
    project: ManifestFile | RefusedFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """One file that is not a manifest. `digest` identifies its content; `size` is in bytes.

    `refusal` is the reason why an existing file can't be read; empty if it can.
    """

    digest: str
    size: int
    refusal: str = ""


DIRECTORY = CodeFile(digest="directory", size=0)
"""The value that represents any directory."""


class Code(Protocol):
    """The code files of one revision. `find` and `read` raise SourceError if the revision can't be read."""

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        """Return those of `paths` that are regular files. Links within the tree are followed.

        Paths are relative to the repository root, with `/`. A path that ends with `/` matches a directory.
        """
        ...

    def read(self, path: str) -> bytes:
        """Return the content of a file that `find` returned."""
        ...

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Announce that those of these files that exist will be read, so that they can be read in one batch."""
        ...


def find_replaced(old: Sequence[ManifestFile], new: Sequence[ManifestFile]) -> list[ManifestFile] | None:
    """Return the files of `new` that are other objects than in `old`, which are few if little has changed.

    Returns None if any file was added or removed, or if a Python file has changed, which may become a spec or cease to.
    """
    if len(old) != len(new):
        return None
    pairs = list(compress(zip(old, new, strict=True), map(is_not, old, new)))
    is_alike = all(before.path == after.path and not is_python(after.path) for before, after in pairs)
    return [after for _, after in pairs] if is_alike else None


RENDERED = b"\0rendered\n"
"""The first bytes of a Python spec that was rendered to documents. A Python file never contains a NUL byte."""


def is_manifest(path: str) -> bool:
    """Whether the file at `path` (with `/`) can declare deployments: YAML, JSON or Python, with no hidden path part."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return path.lower().endswith((".yaml", ".yml", ".json", ".py")) and not hidden


def is_json(path: str) -> bool:
    """Whether the manifest at `path` is JSON. Case is ignored."""
    return path.lower().endswith(".json")


def is_python(path: str) -> bool:
    """Whether the file is Python: a Python spec, a flow or any other module."""
    return path[-3:].lower() == ".py"


_PYTHON_SUFFIXES = (".py", ".PY", ".Py", ".pY")


def python_files(files: Iterable[ManifestFile]) -> list[ManifestFile]:
    """Return those of the files that are Python, for which `is_python` is true. Each pass does this for all files."""
    return [file for file in files if file.path.endswith(_PYTHON_SUFFIXES)]


def is_spec(path: str, content: bytes) -> bool:
    """Whether the file is a Python spec, which is a Python file that mentions `DeploymentSpec`."""
    return is_python(path) and (b"DeploymentSpec" in content or content.startswith(RENDERED))
