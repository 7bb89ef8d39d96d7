"""The state directory: the paths in it, and the lock that allows only one controller at a time."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.errors import AlreadyRunningError, StateError, StateLostError
from controller.records import dataclass
from controller.settings import STATE_NAMES, Location
from controller.state_url import StateUrl
from controller.time_format import format_time

_LOCK_ATTEMPTS = 20
_LOCK_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The controller that has locked a state directory."""

    pid: int
    host: str
    started_at: datetime
    version: str


class StateDirectory:
    """A state directory. It is private to its user, and has a .gitignore that excludes all of it.

    `database` is its file `file`, or a database on a server.
    """

    def __init__(self, path: Path, url: StateUrl | None = None) -> None:
        self.path = path
        self.file = path / "state.db"
        self.database: Path | StateUrl = url or self.file
        self.socket = path / "control.sock"
        self.runs = path / "runs"
        self.exports = path / "exports"
        self.mirror = path / "mirror"
        self.python = path / "python"
        self.log = path / "controller.log"
        self._lock_file = path / "controller.lock"
        self._url_file = path / "dashboard.url"
        self._lock: int | None = None
        self._directory_lock: int | None = None
        self._identities: dict[Path, tuple[int, int]] = {}

    @classmethod
    def at(cls, location: Location) -> "StateDirectory":
        """Return the state directory of a location."""
        return cls(location.state_dir, location.state_url)

    def hold(self, *, version: str, now: datetime, pause: Any) -> None:
        """Create the directory if necessary and lock it until this process ends.

        `pause(seconds)` sleeps between attempts: a command that reads the state may hold the lock for an instant.
        Raises AlreadyRunningError, StateError.
        """
        os.umask(0o077)
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.runs.mkdir(exist_ok=True, mode=0o700)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, f"{self._lock_file.name} is not a regular file")
        except OSError as error:
            raise StateError(
                f"The state directory {self.path} can't be used: {error.strerror}.",
                hint="Choose another with --state-dir, or CONTROLLER_STATE_DIR.",
            ) from error
        for _ in range(_LOCK_ATTEMPTS):
            if _try_lock(descriptor, fcntl.LOCK_EX):
                break
            pause(_LOCK_PAUSE_SECONDS)
        else:
            os.close(descriptor)
            raise self._already_running()
        locked = os.fstat(descriptor)
        if _identity(self._lock_file) != (locked.st_dev, locked.st_ino):
            os.close(descriptor)
            raise StateLostError(
                f"The state directory {self.path} was removed while the controller started.",
                hint="Start `controller run` again.",
            )
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), started_at=now, version=version)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({**asdict(holder), "started_at": now.isoformat()}).encode())
        self._lock = descriptor
        self._directory_lock = _lock_directory(self.path)
        self.remember()

    def is_used(self) -> bool:
        """Return whether a controller has ever used it; True if this user can't read it. Raises OSError if missing."""
        try:
            return any(path.name in STATE_NAMES for path in self.path.iterdir())
        except PermissionError:
            return True

    def find_holder_pid(self) -> int | None:
        """Return the running controller's process id from proc_locks(5), for users without access to the directory."""
        status = self.path.stat()
        identity = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
            fields = line.split()
            if "FLOCK" in fields and identity in fields:
                return int(fields[fields.index(identity) - 1])
        return None

    def remember(self) -> None:
        """Record the files whose identity `check` verifies. Call it again once the database is open."""
        files = (self.file, self.file.with_name(f"{self.file.name}-wal")) if self.file == self.database else ()
        identities = {path: _identity(path) for path in (self._lock_file, self.runs, *files)}
        self._identities = {path: identity for path, identity in identities.items() if identity is not None}

    def check(self) -> None:
        """Raise StateLostError if a file was removed or replaced. Costs one stat(2) per file.

        A lock on a removed file does not exclude other controllers, and writes to a removed database are lost.
        """
        for path, identity in self._identities.items():
            current = _identity(path)
            if current != identity:
                change = f"{path.name} is missing" if current is None else f"{path.name} is a different file"
                raise StateLostError(
                    f"The state directory {self.path} was removed or replaced while the controller was running:"
                    f" {change}. The controller starts no more runs and stops; running flows continue.",
                    hint="Restore the state directory if you have a backup, then start `controller run` again.",
                )

    def release(self) -> None:
        """Unlock the directory."""
        for descriptor in (self._directory_lock, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._directory_lock = self._lock = None

    def holder(self) -> Holder | None:
        """Return the running controller, or None if there is none."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if _try_lock(descriptor, fcntl.LOCK_SH):
                return None
            content = json.loads(os.read(descriptor, 4096))
            return Holder(**{**content, "started_at": datetime.fromisoformat(content["started_at"])})
        except (ValueError, TypeError, KeyError):
            return None
        finally:
            os.close(descriptor)

    def publish_url(self, url: str | None) -> None:
        """Record the URL of the dashboard that this controller serves. An error only means that nobody learns it."""
        with contextlib.suppress(OSError):
            if url is None:
                self._url_file.unlink(missing_ok=True)
            else:
                self._url_file.write_text(url, encoding="utf-8")

    def dashboard_url(self) -> str | None:
        """Return the URL of the running controller's dashboard; None without one."""
        if self.holder() is None:
            return None
        try:
            return self._url_file.read_text(encoding="utf-8") or None
        except (OSError, ValueError):
            return None

    def _already_running(self) -> AlreadyRunningError:
        holder = self.holder()
        process = ""
        if holder is not None:
            process = f": pid {holder.pid} on {holder.host}, since {format_time(holder.started_at, None)}"
        return AlreadyRunningError(
            f"Another controller is already using {self.path}{process}.", hint="Stop it, or choose another --state-dir."
        )


def _lock_directory(path: Path) -> int | None:
    """Lock the directory itself too, so that `find_holder_pid` works without access to it.

    This lock is informational; exclusive use is decided by `controller.lock`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _identity(file: Path) -> tuple[int, int] | None:
    """Return device and inode; None if there is no file. Raises StateError if it can't be determined."""
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(f"{file} can't be examined: {error.strerror}.") from error
    return status.st_dev, status.st_ino


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
