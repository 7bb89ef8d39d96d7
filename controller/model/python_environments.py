"""The Python environment of a deployment: what it declares, what that asks for at a revision, and what was built.

*Environment* alone is the overlay that `--environment` chooses; this is the *Python environment*. `manifests` reads the
declaration and makes the request, `python_environments` builds the environment, `runs` starts flows in it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from controller.model import INTERNAL
from controller.records import dataclass

MAX_FILE_BYTES = 4 << 20
"""The size of the largest file that can declare a Python environment."""

WAITING = "python environment"
"""The value of `waiting` of a run whose Python environment is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSettings:
    """The key `python` of a deployment. At most one of `requirements`, `project` and `interpreter` is set.

    `requirements` is the path of a requirements file, or a list of requirements. `project` is a folder; both are
    relative to the root of the repository, with `/`. `interpreter` is an absolute path. `version` is a version like
    `3.12`. `preload` are modules that the fork server imports.
    """

    requirements: str | tuple[str, ...] | None = None
    project: str | None = None
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    interpreter: str | None = None
    version: str | None = None
    preload: tuple[str, ...] = ()


class RequirementsSource(StrEnum):
    """Where the requirements of an environment are declared."""

    FILE = "requirements file"
    LIST = "list"
    PROJECT = "project"
    SCRIPT = "script"  # PEP 723 metadata in the file of the flow
    INTERPRETER = "interpreter"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonRequest:
    """All that the environment of a deployment depends on at one revision, except for the interpreter of the machine.

    `files` has the texts of the files by path, relative to the root of the repository: a requirements file with those
    that it includes, or the files of a project. `entry` is the path of the first one; a list and a script have the one
    file `requirements.txt`. `version` is a version like `3.12`, or a version specifier (`>=3.11`). `declared_at` is
    the path of the file that declares it, for people.
    """

    source: RequirementsSource
    declared_at: str
    files: Mapping[str, str] = field(default_factory=dict)
    entry: str = ""
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    interpreter: str | None = None
    version: str | None = None

    @property
    def digest(self) -> str:
        """The hex SHA-256 of the request, without the place where it is declared."""
        parts = [
            self.source,
            sorted(self.files.items()),
            self.entry,
            self.groups,
            self.extras,
            self.interpreter,
            self.version,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class PythonState(StrEnum):
    """The state of a Python environment."""

    WAITING = "waiting"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


BUILDING = "Building"
"""The reason of an environment that is waiting to be built, or being built, for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironment:
    """The environment of one request.

    `digest` identifies its content: the lock, and implementation, version and platform of the interpreter; None until
    the requirements are resolved. `lock` was made for the `interpreter`, as of `committed_at`. `reason` is that of the
    condition PythonReady, `message` says more, `log` is the end of the build's log. `executable` is the interpreter to
    start flows with, once it is ready. `packages` has the installed versions by normalised name. A failed build is
    tried again at `retry_at`.
    """

    request: str
    declared_at: str
    state: PythonState
    reason: str
    message: str
    created_at: datetime
    digest: str | None = None
    version: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    committed_at: datetime | None = field(default=None, metadata=INTERNAL)
    interpreter: str | None = field(default=None, metadata=INTERNAL)
    lock: str | None = field(default=None, metadata=INTERNAL)
    executable: str | None = None
    log: str = ""
    attempts: int = 0
    ready_at: datetime | None = None
    used_at: datetime | None = None
    retry_at: datetime | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSummary:
    """The Python environment of a deployment or a run.

    `digest` identifies it in `controller python list`; it and `version` are None until the environment is built.
    `packages` has the installed versions by normalised name. `declared_at` is the file with the requirements.
    """

    digest: str | None
    version: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    declared_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonUse:
    """A deployment that asks for a Python environment, by the digest of the request.

    `is_active`: its active version does. Otherwise its newest version does, which waits for the environment.
    """

    deployment: str
    request: str
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonRuntime:
    """The interpreter that starts a flow, and what its fork server imports first.

    `version` is that of the interpreter, such as `3.12.1`; None if it is unknown. `declared_at` is the file with the
    requirements.
    """

    executable: str
    digest: str
    preload: tuple[str, ...] = ()
    version: str | None = None
    declared_at: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonStatistics:
    """Statistics since the start of the process: builds that ended, those that failed, and the time of the last one.

    `fork_servers` is the number of those that run now.
    """

    builds: int = 0
    failures: int = 0
    last_build_seconds: float = 0.0
    fork_servers: int = 0
