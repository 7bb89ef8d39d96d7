"""How git is started: fixed argument vectors, a hardened environment, a process group that ends in time.

Every look opens a short-lived GitPython `Repo` (it leaks in long-lived ones) and runs only plumbing commands: nothing
that the repository's own configuration says is executed. Whoever calls must have validated what it passes.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import git

from controller.errors import RepositoryNotFoundError, SourceError, SourceTimeoutError

TIMEOUT_SECONDS = 60.0
_GRACE_SECONDS = 5.0
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
        super().__init__(text or f"git ended with {status}")
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


class Look:
    """A repository that is open for one look."""

    def __init__(self, repo: git.Repo, git_dir: Path, work: Work) -> None:
        self._repo = repo
        self.git_dir = git_dir
        self.work = work

    @property
    def common_dir(self) -> Path:
        """Where the refs are; that of a linked worktree is its main repository's."""
        return Path(self._repo.common_dir).absolute()

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        timeout: float = TIMEOUT_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """What this command prints. Raises GitError."""
        self.work.processes += 1
        started = self._repo.git.execute(
            ["git", *arguments],
            istream=subprocess.PIPE if stdin else None,
            as_process=True,
            start_new_session=True,
            env=environment,
        )
        process = started.proc
        assert process is not None
        try:
            output, said = process.communicate(stdin or None, timeout)
        except subprocess.TimeoutExpired as error:
            raise GitTimeoutError(-signal.SIGKILL, f"no answer within {timeout:g} seconds") from error
        finally:
            if process.returncode is None:
                _end(process)
        if process.returncode != 0:
            raise GitError(process.returncode, shown(said))
        return bytes(output)


@contextmanager
def look_into(repo: Path, work: Work, settings: Mapping[str, str] | None = None) -> Iterator[Look]:
    """Open `repo`, itself or its `.git`, with `settings` of git on top of the hardened ones. Raises SourceError."""
    try:
        with git.Repo(repo, expand_vars=False) as opened:
            git_dir = Path(opened.git_dir).absolute()
            # With GIT_DIR git asks not who owns the repository: it executes nothing of what stands there.
            environment = {**_HARDENED, **_as_environment({**_SETTINGS, **(settings or {})}), "GIT_DIR": str(git_dir)}
            with opened.git.custom_environment(**environment):
                yield Look(opened, git_dir, work)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise RepositoryNotFoundError(f"{repo} is not a readable git repository.") from error
    except GitTimeoutError as error:
        raise SourceTimeoutError(f"git could not read {repo}: {reason(error)}.") from error
    except (GitError, git.GitCommandError, git.GitCommandNotFound, OSError, ValueError) as error:
        raise SourceError(f"git could not read {repo}: {reason(error)}.") from error


def reason(error: Exception) -> str:
    """Why git or the system refused, without a full stop."""
    return str(error).rstrip(".")


def shown(said: bytes) -> str:
    """What git or a server wrote to stderr, as one line that does no harm on a terminal."""
    lines = said.decode("utf-8", "replace").splitlines()
    text = "; ".join(line.strip().removeprefix("fatal: ").removeprefix("error: ") for line in lines if line.strip())
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return clean if len(clean) <= _SHOWN else f"{clean[:_SHOWN]}…"


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and everything in its group, and give its pipes back."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GRACE_SECONDS)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
