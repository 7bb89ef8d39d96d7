"""Runs git: with fixed argument vectors, a hardened environment, a timeout, and a process group of its own.

Repositories are opened as short-lived GitPython `Repo` objects, because long-lived ones leak. Only plumbing commands
are run, so that nothing from the repository's own configuration is executed. Callers must validate the arguments.
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
from controller.text import replace_unprintable

TIMEOUT_SECONDS = 60.0
_MAX_MESSAGE = 300

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "log.showSignature": "false",
    "log.follow": "false",
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
    """Git exited with `status` and printed `text` to stderr. `Git.open` converts it to a SourceError."""

    def __init__(self, status: int, text: str) -> None:
        message = text or f"git exited with status {status}"
        super().__init__(message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…")
        self.status = status
        self.text = text


class GitTimeoutError(GitError):
    """Git did not finish in time, and was killed with all of its child processes."""


@dataclass(slots=True)
class Work:
    """Counters of a source: processes started, entries listed, blobs and trees read."""

    processes: int = 0
    entries: int = 0
    blobs: int = 0
    trees: int = 0


class Git:
    """Runs git in the repository at `repo`, which may be bare. Safe to use from several threads."""

    def __init__(self, repo: Path, work: Work | None = None) -> None:
        self.repo = repo
        self.work = work or Work()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_interrupted = False

    @contextmanager
    def open(self, settings: Mapping[str, str] | None = None) -> Iterator["OpenRepository"]:
        """Open the repository, with `settings` added to the hardened git configuration. Raises SourceError.

        In the context, GitError, OSError and other errors of reading the repository become a SourceError, too.
        """
        repo = self.repo
        check_git(_HARDENED)
        try:
            check_files(repo)
            with Repository(repo, expand_vars=False) as opened:
                git_dir = Path(opened.git_dir).absolute()
                # With GIT_DIR, git does not check who owns the repository. That is safe: nothing in it is executed.
                environment = {**git_environment(settings), "GIT_DIR": str(git_dir)}
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
        """Return the error for a directory that GitPython does not recognise; git knows why if there is a `.git`."""
        repo = self.repo
        git_dir = repo / ".git"
        if not os.path.lexists(git_dir):
            return RepositoryNotFoundError(f"{repo} is not a readable git repository.")
        arguments = ("rev-parse", "--verify", "--git-dir")
        try:
            self.run(git.Git(repo), arguments, b"", TIMEOUT_SECONDS, env={**git_environment(), "GIT_DIR": str(git_dir)})
        except (GitError, git.GitCommandNotFound, OSError) as error:
            return SourceError(f"git could not read {repo}: {reason(error)}.", hint=repair_hint(repo))
        return RepositoryNotFoundError(f"{repo} is not a readable git repository.")

    def interrupt(self) -> None:
        """Kill all running commands. They and all later ones raise StoppingError. Called from any thread."""
        with self._lock:
            self._is_interrupted = True
            for process in self._running:
                kill(process)

    def run(self, command: git.Git, arguments: tuple[str, ...], stdin: bytes, timeout: float, **more: Any) -> bytes:
        """Run git and return its standard output. Raises GitError, StoppingError."""
        self.work.processes += 1
        with self._lock:
            if self._is_interrupted:
                raise StoppingError
            process = start(command, arguments, has_input=bool(stdin), **more)
            self._running.add(process)
        try:
            output, stderr = finish(process, stdin, timeout)
        except subprocess.TimeoutExpired as error:
            raise GitTimeoutError(-signal.SIGKILL, f"no response within {timeout:g} seconds") from error
        finally:
            with self._lock:
                self._running.discard(process)
        if self._is_interrupted:
            raise StoppingError
        if process.returncode != 0:
            check_shortage(stderr)
            raise GitError(process.returncode, one_line(stderr))
        return bytes(output)


class OpenRepository:
    """An open repository, in which git commands can be run."""

    def __init__(self, owner: Git, repo: git.Repo, git_dir: Path) -> None:
        self._owner = owner
        self._repo = repo
        self.git_dir = git_dir
        self.work = owner.work

    @property
    def common_dir(self) -> Path:
        """The directory that contains the refs; for a linked worktree, that of its main repository."""
        return Path(self._repo.common_dir).absolute()

    def check(self) -> None:
        """Raise GitError if git can't read the repository at all, because of its configuration or format."""
        self.run("for-each-ref", "--count=1", "--format=%(refname)")

    def is_broken(self, *names: str) -> bool:
        """Whether one of these refs (by full name) exists, although git could not resolve any of them."""
        layout = layout_of(self.git_dir, self.git_dir, self.common_dir)
        if (self.common_dir / "reftable").exists():
            return False
        traces = [trace(layout, name) for name in names]
        return any(ref_trace is None or ref_trace.object_id is not None for ref_trace in traces)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = TIMEOUT_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git and return its standard output. Raises GitError."""
        return self._owner.run(self._repo.git, arguments, stdin, timeout, env=environment)


def origin_url(repo: Path) -> str | None:
    """Return the URL of the remote `origin` as the repository configures it; None if there is none."""
    try:
        with Git(repo).open() as opened:
            return opened.run("config", "--get", "remote.origin.url").decode("utf-8", "replace").strip()
    except SourceError:
        return None


def find_git() -> str:
    """Return the version and path of git, as text. Raises GitUnavailableError if no suitable git is installed."""
    return check_git(_HARDENED)


def git_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for every git process, with `settings` as additional configuration."""
    return {**_HARDENED, **_as_environment({**_SETTINGS, **(settings or {})})}


def reason(error: Exception) -> str:
    """Return the cause of a failure as one line without a full stop."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "; ".join(str(error).splitlines()).rstrip(".")


def repair_hint(repo: Path) -> str:
    """Return the hint about a repository that git can't read."""
    return f"Check the repository: git -C {shlex.quote(str(repo))} fsck"


def _hint(repo: Path, error: Exception) -> str | None:
    if "repository extension" in str(error) or "git repo version" in str(error):
        return f"The repository needs a newer git. Installed is {find_git()}."
    if not isinstance(error, GitError):
        return None
    return _partial_hint(repo) if _is_partial(repo) else repair_hint(repo)


def _is_partial(repo: Path) -> bool:
    """Whether the repository is a partial clone. Missing objects are never fetched: a read opens no connection."""
    packs = (repo / part / "objects/pack" for part in (".git", "."))
    return any(next(directory.glob("*.promisor"), None) is not None for directory in packs)


def _partial_hint(repo: Path) -> str:
    command = f"git -C {shlex.quote(str(repo))}"
    return (
        "Objects are missing from this partial clone. Use --repo with the URL of its remote, or fetch them:"
        f" {command} config --unset remote.origin.partialclonefilter && {command} fetch --refetch"
    )


def stderr_of(error: git.GitCommandError) -> str:
    """Return git's stderr as one line, without the text that GitPython adds."""
    return one_line(str(error.stderr).strip().removeprefix("stderr: ").strip("'").encode())


def one_line(stderr: bytes) -> str:
    """Return the stderr of git or a server as one line, without characters that could harm a terminal."""
    lines = stderr.decode("utf-8", "replace").splitlines()
    messages = (line.strip().removeprefix("fatal: ").removeprefix("error: ") for line in lines if line.strip())
    text = "; ".join(dict.fromkeys(messages)).replace(":; ", ": ")
    return replace_unprintable(text)


def _check_descriptors(repo: Path) -> None:
    """Raise SourceError if this process can't open any file, in which case the repository may well exist."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise SourceError(f"git could not read {repo}: {reason(error)}.") from error


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
