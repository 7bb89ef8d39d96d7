"""The state directory: what is where in it, and who holds it. Only one controller at a time may."""

import errno
import fcntl
import json
import os
import socket
import stat
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.errors import AlreadyRunningError, StateError, StateLostError
from controller.settings import STATE_NAMES
from controller.time_format import shown

_LOCK_TRIES = 20
_LOCK_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The controller that holds a state directory."""

    pid: int
    host: str
    started_at: datetime
    version: str


class StateDirectory:
    """One directory, private to its user, that ignores itself in git."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "state.db"
        self.socket = path / "control.sock"
        self.runs = path / "runs"
        self.exports = path / "exports"
        self.mirror = path / "mirror"
        self.log = path / "controller.log"
        self._lock_file = path / "controller.lock"
        self._lock: int | None = None
        self._sign: int | None = None
        self._seen: dict[Path, tuple[int, int]] = {}

    def hold(self, *, version: str, now: datetime, pause: Any) -> None:
        """Create it if need be and hold it until this process ends. Raises AlreadyRunningError, StateError.

        `pause(seconds)` waits between the tries: a command that only looks may hold the lock for an instant.
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
        for _ in range(_LOCK_TRIES):
            if _try_lock(descriptor, fcntl.LOCK_EX):
                break
            pause(_LOCK_PAUSE_SECONDS)
        else:
            os.close(descriptor)
            raise self._held()
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
        self._sign = _put_sign(self.path)
        self.remember()

    def is_used(self) -> bool:
        """Whether a controller has ever held it, as far as this user can tell. Raises OSError where there is none."""
        try:
            return any(path.name in STATE_NAMES for path in self.path.iterdir())
        except PermissionError:
            return True

    def holder_seen_from_outside(self) -> int | None:
        """The running controller's process id, for a user who may not enter the directory: proc_locks(5) names it."""
        found = self.path.stat()
        wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
            fields = line.split()
            if "FLOCK" in fields and wanted in fields:
                return int(fields[fields.index(wanted) - 1])
        return None

    def remember(self) -> None:
        """Remember which files `check` has to find. Call it again once the database is open."""
        wal = self.database.with_name(f"{self.database.name}-wal")
        found = {path: _identity(path) for path in (self._lock_file, self.runs, self.database, wal)}
        self._seen = {path: identity for path, identity in found.items() if identity is not None}

    def check(self) -> None:
        """Raise StateLostError unless all of it is still what this process uses; it costs one stat(2) for each file.

        A lock on a removed file keeps no other controller out, and what is written to a removed database is lost.
        """
        for path, identity in self._seen.items():
            found = _identity(path)
            if found != identity:
                what = f"{path.name} is gone" if found is None else f"{path.name} is another file now"
                raise StateLostError(
                    f"The state directory {self.path} was removed or replaced while the controller ran: {what}. "
                    "The controller starts no more runs and ends; running flows go on.",
                    hint="Restore the state directory if you have a backup, then start `controller run` again.",
                )

    def release(self) -> None:
        """Let go of it."""
        for descriptor in (self._sign, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._sign = self._lock = None

    def holder(self) -> Holder | None:
        """The running controller, None if there is none."""
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

    def _held(self) -> AlreadyRunningError:
        holder = self.holder()
        who = "" if holder is None else f": pid {holder.pid} on {holder.host}, since {shown(holder.started_at, None)}"
        return AlreadyRunningError(
            f"Another controller holds {self.path}{who}.", hint="Stop it, or choose another --state-dir."
        )


def _put_sign(path: Path) -> int | None:
    """Lock the directory as well, so that users who may not enter it see who runs; `controller.lock` is what counts."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _identity(file: Path) -> tuple[int, int] | None:
    """Device and inode; None where there is no file. Raises StateError if that is unknown."""
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(f"{file} can't be examined: {error.strerror}.") from error
    return found.st_dev, found.st_ino


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
