"""The program git: whether there is one that is new enough, and GitPython, imported without starting it.

The other modules of this package take `git` (GitPython) from here. Importing GitPython starts `git version` and fails
where that fails: without git, with a broken `~/.gitconfig`, in a deleted directory; where git hangs, it hangs. Whether
git works is asked here instead, at each use and with a deadline, so that commands that need no git go on without it.
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
"""The first version that takes configuration from GIT_CONFIG_COUNT, which all hardening of ours depends on."""

_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
_VERSION_SECONDS = 10.0
_GRACE_SECONDS = 5.0
_NEEDED = f"git {'.'.join(map(str, LEAST_VERSION))} or newer is required"
_known: dict[tuple[str, int, int, int], str] = {}


def check_git(environment: Mapping[str, str]) -> str:
    """Return the version and place of git, as `git version 2.39.5 at /usr/bin/git`.

    Each program is asked once. Raises GitUnavailableError if there is none, it is too old or it does not work.
    """
    program = shutil.which("git")
    if program is None:
        raise GitUnavailableError(f"{_NEEDED}, and there is no program git on PATH.", hint="Install git.")
    try:
        found = Path(program).stat()
        sign = (program, found.st_mtime_ns, found.st_ino, found.st_size)
        if sign not in _known:
            _known[sign] = _version(program, environment)
    except OSError as error:
        raise _broken(program, error.strerror or str(error)) from error
    return f"{_known[sign]} at {program}"


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
    # It would end the process when it is collected.
    started.proc = None
    return process


def finish(process: "subprocess.Popen[bytes]", stdin: bytes, timeout: float) -> tuple[bytes, bytes]:
    """Wait for its end and return its output and errors. Raises TimeoutExpired; whatever happens, it is gone then."""
    try:
        return process.communicate(stdin or None, timeout)
    finally:
        if process.returncode is None:
            _end(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and everything in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def check_shortage(said: bytes) -> None:
    """Raise OSError if git ended because this machine is short of something: nothing is absent for that."""
    lines = [line for line in said.splitlines() if not line.startswith(b"remote:")]
    for number in _SHORTAGES:
        words = os.strerror(number)
        if any(line.endswith(words.encode()) for line in lines):
            raise OSError(number, words)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and everything in its group, and give its pipes back."""
    kill(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GRACE_SECONDS)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)  # where somebody else holds its pipes open, the above has not reaped it
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _version(program: str, environment: Mapping[str, str]) -> str:
    try:
        process = start(git.Git("/"), ("version",), has_input=False, env=environment)
        output, said = finish(process, b"", _VERSION_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _broken(program, f"`git version` did not end within {_VERSION_SECONDS:g} seconds") from error
    except git.GitCommandNotFound as error:
        raise _broken(program, "the interpreter that it names does not exist") from error
    text = output.decode("utf-8", "replace").strip()
    if process.returncode != 0:
        check_shortage(said)
        why = said.decode("utf-8", "replace").strip() or f"`git version` ended with {process.returncode}"
        raise _broken(program, "; ".join(why.splitlines()))
    numbers = re.search(r"\b(\d+)\.(\d+)", text)
    if numbers is None:
        raise _broken(program, f"`git version` printed {text[:100]!r}")
    if (int(numbers[1]), int(numbers[2])) < LEAST_VERSION:
        raise GitUnavailableError(
            f"{_NEEDED}; {program} is {text}.", hint="Install a newer git, or put its directory first in PATH."
        )
    return text


def _broken(program: str, why: str) -> GitUnavailableError:
    return GitUnavailableError(
        f"{program} does not work: {why.rstrip('.')}.", hint=f"Try `{program} version`; {_NEEDED}."
    )
