"""Creates, finds and removes the private temporary directory of one attempt.

The supervisor creates and removes it. If the supervisor was killed, the controller removes it: the attempt's `lock`
records its path, after the process id of the supervisor. File systems that the flow mounted in it are not touched. The
path is short because programs create sockets below it: a socket address has at most 107 bytes (unix(7)), and
`multiprocessing` adds 32 to TMPDIR.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LOCK = "lock"
VARIABLES = ("TMPDIR", "TEMP", "TMP")
"""The variables that programs read to find a temporary directory. If a deployment sets one, we create none."""
MAX_BASE_BYTES = 107 - len("/ctl-0123456789ab") - len("/pymp-01234567/listener-01234567")

_RECORD_AT = 16
"""Where the record begins in the lock. Before it is the process id, with spaces up to there."""
_NAME = re.compile(r"ctl-[0-9a-f]{12}")
_FALLBACK = "tmp"
_TRIES = 16
_ROUNDS = 200


class Temporary:
    """The directory of an attempt. `inode` is None if the supervisor ended before it recorded the creation."""

    def __init__(self, path: str, inode: int | None, uid: int) -> None:
        self.path = path
        self.inode = inode
        self.uid = uid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Temporary) and vars(self) == vars(other)


def write_holder(lock: int) -> None:
    """Write the id of this process to the lock, which it holds. There is no record yet. Raises OSError."""
    os.ftruncate(lock, 0)
    _write(lock, str(os.getpid()).encode().ljust(_RECORD_AT), 0)


def make(bases: Iterable[str], directory: str, lock: int, user: dict[str, int] | None = None) -> Temporary:
    """Create a directory below the first base that works, otherwise in the attempt's own `directory`. Raises OSError.

    It is recorded in `lock`, the lock of the attempt, and belongs to `user` (`uid` and `gid`) if there is one. This
    process holds a lock on it for its life, so that systemd-tmpfiles does not clean it up.
    """
    for base in bases:
        if len(os.fsencode(base)) <= MAX_BASE_BYTES:
            for _ in range(_TRIES):
                try:
                    return _create(os.path.join(base, f"ctl-{os.urandom(6).hex()}"), lock, user)
                except FileExistsError:
                    continue
                except OSError:
                    break
    return _create(os.path.join(os.path.realpath(directory), _FALLBACK), lock, user)


def find(directory: str) -> Temporary | None:
    """Return the recorded directory of an attempt; None if there is no valid record from `make`."""
    try:
        descriptor = os.open(f"{directory}/{LOCK}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            text = stream.read(1 << 14)[_RECORD_AT:].decode()
        record, _ = json.JSONDecoder().raw_decode(text)  # the end of a longer record may follow
        temporary = Temporary(path=record["path"], inode=record["inode"], uid=record["uid"])
        parent, name = os.path.split(temporary.path)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    is_own = name == _FALLBACK and parent == os.path.realpath(directory)
    return temporary if os.path.isabs(parent) and (is_own or _NAME.fullmatch(name)) else None


def remove_left_behind(directory: str) -> None:
    """Remove the directory of a supervisor that was killed, or whose flow had mounted something in it."""
    temporary = find(directory)
    if temporary is not None and not _remove(temporary, is_left_behind=True):
        with contextlib.suppress(OSError):
            lock = os.open(f"{directory}/{LOCK}", os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            _forget(lock)
            os.close(lock)


def remove(temporary: Temporary, lock: int) -> None:
    """Remove the directory and its record in the lock."""
    if not _remove(temporary, is_left_behind=False):
        _forget(lock)


def _remove(temporary: Temporary, *, is_left_behind: bool) -> bool:
    """Remove the directory if it is still the one that was created. Return whether it still exists.

    Symbolic links are not followed. With `is_left_behind`, a directory that a supervisor has locked is kept: it may
    belong to a running supervisor if the state directory was copied.
    """
    if not is_left_behind and _remove_empty(temporary):
        return False
    parent, name = os.path.split(temporary.path)
    try:
        base = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    is_remaining = _remove_below(base, name, temporary, is_left_behind=is_left_behind)
    os.close(base)
    return is_remaining


def _remove_empty(temporary: Temporary) -> bool:
    """Remove the directory if the flow has left nothing in it, which needs no descriptors. Return whether it worked."""
    try:
        if not _is_ours(os.lstat(temporary.path), temporary):
            return False
        os.rmdir(temporary.path)
    except OSError:
        return False
    return True


def _forget(lock: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(lock, _RECORD_AT)


def _create(path: str, lock: int, user: dict[str, int] | None) -> Temporary:
    uid = os.geteuid() if user is None else user["uid"]
    # Recorded before it exists: a supervisor that is killed now leaves an unused name or an empty directory.
    _record(Temporary(path, None, os.geteuid()), lock)
    os.mkdir(path, 0o700)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if user is not None:
            os.fchown(descriptor, user["uid"], user["gid"])
        temporary = Temporary(path, os.fstat(descriptor).st_ino, uid)
        _record(temporary, lock)
    except OSError:
        os.rmdir(path)
        raise
    return temporary


def _record(temporary: Temporary, lock: int) -> None:
    _write(lock, json.dumps(vars(temporary)).encode(), _RECORD_AT)


def _write(lock: int, content: bytes, at: int) -> None:
    if os.pwrite(lock, content, at) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), LOCK)


def _remove_below(base: int, name: str, temporary: Temporary, *, is_left_behind: bool) -> bool:
    """Remove `name` in the directory `base`; return whether our directory still exists."""
    try:
        status = os.stat(name, dir_fd=base, follow_symlinks=False)
    except OSError:
        return False
    top = _open(name, base) if _is_ours(status, temporary) else -1
    if top < 0:
        return False
    try:
        if not _is_ours(os.fstat(top), temporary):
            return False
        if is_left_behind and _is_held(top):
            return True
        for _ in range(_ROUNDS):  # a process that is being killed may still create files in it
            if temporary.inode is not None:
                _empty(top)
            try:
                os.rmdir(name, dir_fd=base)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    return True
            else:
                return False
    finally:
        os.close(top)
    return True


def _is_held(top: int) -> bool:
    """Return whether the supervisor that created the directory is alive."""
    try:
        fcntl.flock(top, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    return False


def _is_ours(status: os.stat_result, temporary: Temporary) -> bool:
    """Return whether this is the directory that we created, by its type, owner and inode."""
    is_same = temporary.inode in (None, status.st_ino)
    return stat.S_ISDIR(status.st_mode) and status.st_uid in (temporary.uid, os.geteuid()) and is_same


def _empty(top: int) -> None:
    """Remove the contents of a directory of any depth, with two descriptors and without recursion.

    Nested subdirectories are moved up to `top`, level by level, and removed there.
    """
    stuck: set[str] = set()
    while names := [name for name in os.listdir(top) if name not in stuck]:
        for name in names:
            if not (_unlink(name, top) or _dissolve(name, top)):
                stuck.add(name)


def _unlink(name: str, parent: int) -> bool:
    """Remove a file or an empty directory; return whether that was possible."""
    for remove_entry in (os.unlink, os.rmdir):
        try:
            remove_entry(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError:
            continue
        return True
    return False


def _dissolve(name: str, top: int) -> bool:
    """Remove a subdirectory after moving its own subdirectories to `top`; return whether anything changed."""
    inner = _open(name, top)
    if inner < 0:
        return False
    is_moved = False
    try:
        for entry in os.listdir(inner):
            if not _unlink(entry, inner):
                opened = _open(entry, inner)  # opening it makes it writable, which a move requires
                if opened >= 0:
                    os.close(opened)
                with contextlib.suppress(OSError):
                    os.rename(entry, os.urandom(8).hex(), src_dir_fd=inner, dst_dir_fd=top)
                    is_moved = True
    finally:
        os.close(inner)
    return _unlink(name, top) or is_moved


def _open(name: str, parent: int) -> int:
    """Make a subdirectory accessible to its owner and open it; return -1 if that is not possible.

    Also returns -1 for a mount point, because its contents do not belong to the run.
    """
    try:
        handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return -1
    try:
        if _mount_of(handle) != _mount_of(parent):
            return -1
        with contextlib.suppress(OSError):
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    except OSError:
        return -1
    finally:
        os.close(handle)


def _mount_of(descriptor: int) -> bytes:
    """Return the mount id of a descriptor (proc_pid_fdinfo(5)); the device number does not reveal bind mounts."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb", 0) as stream:
        return next((line for line in stream.read(1 << 12).splitlines() if line.startswith(b"mnt_id:")), b"")
