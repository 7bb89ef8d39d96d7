"""What a source said at one revision: `sources` makes it, `manifests` reads it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

PROJECT_FILE = "controller.yaml"
"""At the root of the repository: what holds for all of its deployments. It is not a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One manifest: `path` from the repository root with `/`; `digest` changes exactly when `content` does."""

    path: str
    content: bytes
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedFile:
    """A file that stands where a manifest is expected but must not be read: a link, a device, a giant."""

    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All manifests of one revision, in the order of their paths.

    `revision` is `main@sha1:<commit>` of a git source, `dir@sha256:<digest>` of a plain directory. `project` is the
    file PROJECT_FILE, None if there is none.
    """

    revision: str
    files: tuple[ManifestFile, ...]
    refused: tuple[RefusedFile, ...] = ()
    project: ManifestFile | RefusedFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """One file that is not a manifest: `digest` changes exactly when its content does, `size` is in bytes.

    `refusal` says why it can't be read although it is there.
    """

    digest: str
    size: int
    refusal: str = ""


DIRECTORY = CodeFile(digest="directory", size=0)
"""What stands for any directory."""


class Code(Protocol):
    """The files of one revision that flows are read from. Both methods raise SourceError when it can't be read."""

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        """Those of `paths` (from the repository root, with `/`) that are regular files; links inside are followed.

        A path that ends with `/` asks for a directory.
        """
        ...

    def read(self, path: str) -> bytes:
        """The content of a file that `find` has found."""
        ...

    def read_ahead(self, paths: Iterable[str]) -> None:
        """All of these will be read, if they are found: they may be read together."""
        ...


RENDERED = b"\0rendered\n"
"""Begins the content of a Python spec that was rendered to documents. No Python file has a NUL."""


def is_manifest(path: str) -> bool:
    """Whether the file at `path` (with `/`) is read as deployments: YAML, JSON or Python, no part of it hidden."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return path.lower().endswith((".yaml", ".yml", ".json", ".py")) and not hidden


def is_json(path: str) -> bool:
    """Whether the manifest at `path` is JSON; upper case and lower case are the same."""
    return path.lower().endswith(".json")


def is_python(path: str) -> bool:
    """Whether the file may be a Python spec, as it may be a flow or any other module."""
    return path.lower().endswith(".py")


def is_spec(path: str, content: bytes) -> bool:
    """Whether it is a Python spec: it speaks of `DeploymentSpec`. Any other Python file declares nothing."""
    return is_python(path) and (b"DeploymentSpec" in content or content.startswith(RENDERED))
