"""How git is started: fixed argument vectors, a hardened environment, a process group that ends in time.

Every look opens a short-lived GitPython `Repo` (it leaks in long-lived ones) and runs only plumbing commands: nothing
that the repository's own configuration says is executed. Whoever calls must have validated what it passes.
"""

import configparser
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.errors import RepositoryNotFoundError, SourceError, SourceTimeoutError, StoppingError
from controller.sources.git.program import check_git, check_shortage, finish, git, kill, start
from controller.sources.git.ref_files import layout_of, trace
from controller.sources.git.repository import Repository, check_files

TIMEOUT_SECONDS = 60.0
_SHOWN = 300

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
_HARDENED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "LC_ALL": "C",
}


class GitError(Exception):
    """Git ended with `status` and said `text`; a look turns it into a SourceError if nobody else does."""

    def __init__(self, status: int, text: str) -> None:
        said = text or f"git ended with {status}"
        super().__init__(said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…")
        self.status = status
        self.text = text


class GitTimeoutError(GitError):
    """Git did not end in time, and was ended with all that it had started."""


@dataclass(slots=True)
class Work:
    """How much a source has done since it was made: processes started, entries listed, blobs and trees read."""

    processes: int = 0
    entries: int = 0
    blobs: int = 0
    trees: int = 0


class Git:
    """Starts git for the repository at `repo`, itself or its `.git`. May be used by several threads."""

    def __init__(self, repo: Path, work: Work | None = None) -> None:
        self.repo = repo
        self.work = work or Work()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_interrupted = False

    @contextmanager
    def look(self, settings: Mapping[str, str] | None = None) -> Iterator["OpenRepository"]:
        """Open the repository, with `settings` of git on top of the hardened ones. Raises SourceError."""
        repo = self.repo
        check_git(_HARDENED)
        try:
            check_files(repo)
            with Repository(repo, expand_vars=False) as opened:
                git_dir = Path(opened.git_dir).absolute()
                # With GIT_DIR git asks not who owns the repository: it executes nothing of what stands there.
                environment = {**hardened(settings), "GIT_DIR": str(git_dir)}
                with opened.git.custom_environment(**environment):
                    yield OpenRepository(self, opened, git_dir)
        except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
            _check_descriptors(repo)
            raise self._no_repository() from error
        except GitTimeoutError as error:
            raise SourceTimeoutError(f"git could not read {repo}: {reason(error)}.") from error
        except (
            GitError,
            git.GitCommandError,
            git.GitCommandNotFound,
            configparser.Error,
            OSError,
            ValueError,
        ) as error:
            raise SourceError(f"git could not read {repo}: {reason(error)}.", hint=_hint(repo, error)) from error

    def _no_repository(self) -> SourceError:
        """Nothing is there, or something that git does not take for a repository: then git says why."""
        repo = self.repo
        git_dir = repo / ".git"
        if not os.path.lexists(git_dir):
            return RepositoryNotFoundError(f"{repo} is not a readable git repository.")
        arguments = ("rev-parse", "--verify", "--git-dir")
        try:
            self.run(git.Git(repo), arguments, b"", TIMEOUT_SECONDS, env={**hardened(), "GIT_DIR": str(git_dir)})
        except (GitError, git.GitCommandNotFound, OSError) as error:
            return SourceError(f"git could not read {repo}: {reason(error)}.", hint=repair_hint(repo))
        return RepositoryNotFoundError(f"{repo} is not a readable git repository.")

    def interrupt(self) -> None:
        """End what is running; it and all that is asked from now on raises StoppingError. Called from any thread."""
        with self._lock:
            self._is_interrupted = True
            for process in self._running:
                kill(process)

    def run(self, command: git.Git, arguments: tuple[str, ...], stdin: bytes, timeout: float, **more: Any) -> bytes:
        """What this command prints. Raises GitError, StoppingError."""
        self.work.processes += 1
        with self._lock:
            if self._is_interrupted:
                raise StoppingError
            process = start(command, arguments, has_input=bool(stdin), **more)
            self._running.add(process)
        try:
            output, said = finish(process, stdin, timeout)
        except subprocess.TimeoutExpired as error:
            raise GitTimeoutError(-signal.SIGKILL, f"no answer within {timeout:g} seconds") from error
        finally:
            with self._lock:
                self._running.discard(process)
        if self._is_interrupted:
            raise StoppingError
        if process.returncode != 0:
            check_shortage(said)
            raise GitError(process.returncode, shown(said))
        return bytes(output)


class OpenRepository:
    """A repository that is open for one look."""

    def __init__(self, owner: Git, repo: git.Repo, git_dir: Path) -> None:
        self._owner = owner
        self._repo = repo
        self.git_dir = git_dir
        self.work = owner.work

    @property
    def common_dir(self) -> Path:
        """Where the refs are; that of a linked worktree is its main repository's."""
        return Path(self._repo.common_dir).absolute()

    def check(self) -> None:
        """Raises GitError if git can't read the repository at all, for its configuration or its format."""
        self.run("for-each-ref", "--count=1", "--format=%(refname)")

    def is_broken(self, *names: str) -> bool:
        """Whether something is stored under one of these full names of refs that is not an object's id."""
        layout = layout_of(self.git_dir, self.git_dir, self.common_dir)
        if (self.common_dir / "reftable").exists():
            return False
        found = [trace(layout, name) for name in names]
        return any(one is None or one.object_id is not None for one in found)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = TIMEOUT_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """What this command prints. Raises GitError."""
        return self._owner.run(self._repo.git, arguments, stdin, timeout, env=environment)


def find_git() -> str:
    """Return the version and place of git. Raises GitUnavailableError if there is none that will do."""
    return check_git(_HARDENED)


def hardened(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every git that we start."""
    return {**_HARDENED, **_as_environment({**_SETTINGS, **(settings or {})})}


def reason(error: Exception) -> str:
    """Why git or the system refused, as one line without a full stop."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "; ".join(str(error).splitlines()).rstrip(".")


def repair_hint(repo: Path) -> str:
    """What to do about a repository that git can't read."""
    return f"See what is wrong with it: git -C {shlex.quote(str(repo))} fsck"


def _hint(repo: Path, error: Exception) -> str | None:
    if "repository extension" in str(error) or "git repo version" in str(error):
        return f"It needs a newer git than the {find_git()}."
    if not isinstance(error, GitError):
        return None
    return _partial_hint(repo) if _is_partial(repo) else repair_hint(repo)


def _is_partial(repo: Path) -> bool:
    """Whether objects may be left at a server. They are never fetched from here: a read opens no connection."""
    packs = (repo / part / "objects/pack" for part in (".git", "."))
    return any(next(directory.glob("*.promisor"), None) is not None for directory in packs)


def _partial_hint(repo: Path) -> str:
    command = f"git -C {shlex.quote(str(repo))}"
    return (
        "This partial clone lacks objects. Follow its remote with --repo URL, or fetch them:"
        f" {command} config --unset remote.origin.partialclonefilter && {command} fetch --refetch"
    )


def stderr_of(error: git.GitCommandError) -> str:
    """What git wrote to stderr, without what GitPython puts around it."""
    return shown(str(error.stderr).strip().removeprefix("stderr: ").strip("'").encode())


def shown(said: bytes) -> str:
    """What git or a server wrote to stderr, as one line that does no harm on a terminal."""
    lines = said.decode("utf-8", "replace").splitlines()
    found = (line.strip().removeprefix("fatal: ").removeprefix("error: ") for line in lines if line.strip())
    text = "; ".join(dict.fromkeys(found)).replace(":; ", ": ")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _check_descriptors(repo: Path) -> None:
    """Raise SourceError if this process can't open any file: what it has not found may well be there."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise SourceError(f"git could not read {repo}: {reason(error)}.") from error


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found
