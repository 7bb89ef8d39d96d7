"""Checks that git is installed and new enough, starts it, and imports GitPython without starting git.

The other modules of this package import `git` (GitPython) from here. Importing GitPython normally runs `git version`,
and fails where that fails: without git, with a broken `~/.gitconfig`, or in a deleted directory. It hangs where git
hangs. This module checks git at each use instead, with a timeout, so that commands that don't need git work without it.
"""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.errors import GitUnavailableError
from controller.settings import hidden_git

with hidden_git():
    import git

__all__ = ["LEAST_VERSION", "check_git", "check_shortage", "finish", "git", "kill", "start"]

LEAST_VERSION = (2, 31)
"""The first version that supports GIT_CONFIG_COUNT, which all of the hardening depends on."""

_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
_VERSION_SECONDS = 10.0
_GRACE_SECONDS = 5.0
_NEEDED = f"git {'.'.join(map(str, LEAST_VERSION))} or newer is required"
_versions: dict[tuple[str, int, int, int], str] = {}


def check_git(environment: Mapping[str, str]) -> str:
    """Return the version and path of git, as `git version 2.39.5 at /usr/bin/git`.

    The version is cached until the program changes. Raises GitUnavailableError if git is missing, too old or broken.
    """
    program = shutil.which("git")
    if program is None:
        raise GitUnavailableError(f"{_NEEDED}, but there is no git on PATH.", hint="Install git.")
    try:
        status = Path(program).stat()
        key = (program, status.st_mtime_ns, status.st_ino, status.st_size)
        if key not in _versions:
            _versions[key] = _version(program, environment)
    except OSError as error:
        raise _broken(program, error.strerror or str(error)) from error
    return f"{_versions[key]} at {program}"


def start(command: git.Git, arguments: tuple[str, ...], *, has_input: bool, **more: Any) -> "subprocess.Popen[bytes]":
    """Start git with a process group of its own. Raises what GitPython raises, and OSError."""
    started = command.execute(
        ["git", *arguments],
        istream=subprocess.PIPE if has_input else None,
        as_process=True,
        start_new_session=True,
        **more,
    )
    process: subprocess.Popen[bytes] | None = started.proc
    assert process is not None
    # GitPython's wrapper would kill the process when it is garbage-collected.
    started.proc = None
    return process


def finish(process: "subprocess.Popen[bytes]", stdin: bytes, timeout: float) -> tuple[bytes, bytes]:
    """Wait for the process and return its stdout and stderr. Raises TimeoutExpired, after killing the process."""
    try:
        return process.communicate(stdin or None, timeout)
    finally:
        if process.returncode is None:
            _end(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and everything in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def check_shortage(stderr: bytes) -> None:
    """Raise OSError if git failed because this machine lacks a resource: the repository may be intact."""
    lines = [line for line in stderr.splitlines() if not line.startswith(b"remote:")]
    for number in _SHORTAGES:
        message = os.strerror(number)
        if any(line.endswith(message.encode()) for line in lines):
            raise OSError(number, message)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and everything in its group, and close its pipes."""
    kill(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GRACE_SECONDS)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)  # reaps it if another process holds its pipes open, so that the above timed out
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _version(program: str, environment: Mapping[str, str]) -> str:
    try:
        process = start(git.Git("/"), ("version",), has_input=False, env=environment)
        output, stderr = finish(process, b"", _VERSION_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _broken(program, f"`git version` did not finish within {_VERSION_SECONDS:g} seconds") from error
    except git.GitCommandNotFound as error:
        raise _broken(program, "the interpreter that it names does not exist") from error
    text = output.decode("utf-8", "replace").strip()
    if process.returncode != 0:
        check_shortage(stderr)
        problem = stderr.decode("utf-8", "replace").strip() or f"`git version` exited with {process.returncode}"
        raise _broken(program, "; ".join(problem.splitlines()))
    numbers = re.search(r"\b(\d+)\.(\d+)", text)
    if numbers is None:
        raise _broken(program, f"`git version` printed {text[:100]!r}")
    if (int(numbers[1]), int(numbers[2])) < LEAST_VERSION:
        raise GitUnavailableError(
            f"{_NEEDED}; {program} is {text}.", hint="Install a newer git, or put its directory first on PATH."
        )
    return text


def _broken(program: str, problem: str) -> GitUnavailableError:
    return GitUnavailableError(
        f"{program} does not work: {problem.rstrip('.')}.", hint=f"Run `{program} version` to check; {_NEEDED}."
    )
