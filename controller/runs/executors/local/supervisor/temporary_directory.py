"""The private temporary directory of one attempt: where it is, whose it is, and how it is removed.

The supervisor creates and removes it. The controller removes that of a supervisor that was killed: a record in the
attempt's directory says where it is. What the flow has mounted in it is left alone. The path is short, because sockets
are created below it: the address of one has at most 107 bytes (unix(7)), and `multiprocessing` adds 32 to TMPDIR.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import stat
from collections.abc import Iterable
from typing import NamedTuple

RECORD = "tmpdir"
VARIABLES = ("TMPDIR", "TEMP", "TMP")
"""What programs read to find their temporary directory. A deployment that sets one of them gets none from us."""
MAX_BASE_BYTES = 107 - len("/ctl-0123456789ab") - len("/pymp-01234567/listener-01234567")

_NAME = re.compile(r"ctl-[0-9a-f]{12}")
_FALLBACK = "tmp"
_TRIES = 16
_ROUNDS = 200


class Temporary(NamedTuple):
    """A directory that was created for an attempt. `inode` is None if its creation was not recorded to the end."""

    path: str
    inode: int | None
    uid: int


def make(bases: Iterable[str], directory: str, user: dict[str, int] | None = None) -> Temporary:
    """Create one below the first base where that works, else in the attempt's own `directory`. Raises OSError.

    It is recorded in `directory`, and belongs to `user` (`uid` and `gid`) if there is one. While this process lives it
    holds a lock on it, so that systemd-tmpfiles does not clean up below it.
    """
    own = os.path.realpath(directory)
    for base in bases:
        if len(os.fsencode(base)) <= MAX_BASE_BYTES:
            for _ in range(_TRIES):
                try:
                    return _create(os.path.join(base, f"ctl-{os.urandom(6).hex()}"), own, user)
                except FileExistsError:
                    continue
                except OSError:
                    break
    return _create(os.path.join(own, _FALLBACK), own, user)


def find(directory: str) -> Temporary | None:
    """What is recorded in the directory of an attempt; None if there is nothing that `make` has written."""
    try:
        descriptor = os.open(f"{directory}/{RECORD}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            said = json.loads(stream.read(1 << 14))
        found = Temporary(path=said["path"], inode=said["inode"], uid=said["uid"])
        parent, name = os.path.split(found.path)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    is_own = name == _FALLBACK and parent == os.path.realpath(directory)
    return found if os.path.isabs(parent) and (is_own or _NAME.fullmatch(name)) else None


def remove_left_behind(directory: str) -> None:
    """Remove what a supervisor that has ended could not: it was killed, or its flow had mounted something in there."""
    found = find(directory)
    if found is not None:
        remove(found, directory, is_left_behind=True)


def remove(temporary: Temporary, directory: str, *, is_left_behind: bool = False) -> None:
    """Remove it and its record, if it is still the directory that was created. Follows no symbolic link.

    With `is_left_behind` a directory that a supervisor holds stays: a copy of a state directory names the same one.
    """
    parent, name = os.path.split(temporary.path)
    try:
        base = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        is_left = False
    else:
        is_left = _remove_below(base, name, temporary, is_left_behind=is_left_behind)
        os.close(base)
    if not is_left:
        with contextlib.suppress(OSError):
            os.unlink(f"{directory}/{RECORD}")


def _create(path: str, directory: str, user: dict[str, int] | None) -> Temporary:
    uid = os.geteuid() if user is None else user["uid"]
    # Recorded first: a supervisor that is killed in between leaves a name that nobody finds, or an empty directory.
    _record(Temporary(path, None, os.geteuid()), directory)
    os.mkdir(path, 0o700)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if user is not None:
            os.fchown(descriptor, user["uid"], user["gid"])
        made = Temporary(path, os.fstat(descriptor).st_ino, uid)
        _record(made, directory)
    except OSError:
        os.rmdir(path)
        raise
    return made


def _record(temporary: Temporary, directory: str) -> None:
    content = json.dumps(temporary._asdict()).encode()
    place = f"{directory}/{RECORD}"
    descriptor = os.open(f"{place}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
    finally:
        os.close(descriptor)
    os.rename(f"{place}.tmp", place)


def _remove_below(base: int, name: str, temporary: Temporary, *, is_left_behind: bool) -> bool:
    """Remove `name` in the directory `base`; whether it is still there, and ours."""
    try:
        seen = os.stat(name, dir_fd=base, follow_symlinks=False)
    except OSError:
        return False
    top = _open(name, base) if _is_ours(seen, temporary) else -1
    if top < 0:
        return False
    try:
        if not _is_ours(os.fstat(top), temporary):
            return False
        if is_left_behind and _is_held(top):
            return True
        for _ in range(_ROUNDS):  # a process that is being killed may still create something in it
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
    """Whether the supervisor that created it lives."""
    try:
        fcntl.flock(top, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    return False


def _is_ours(seen: os.stat_result, temporary: Temporary) -> bool:
    """Whether this is the directory that was created: by its kind, its owner, and its number in the file system."""
    is_same = temporary.inode in (None, seen.st_ino)
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid in (temporary.uid, os.geteuid()) and is_same


def _empty(top: int) -> None:
    """Remove what is in a directory, whatever its depth: with two descriptors, and without recursion.

    What is below a subdirectory is moved up, level by level, and removed there.
    """
    stuck: set[str] = set()
    while names := [name for name in os.listdir(top) if name not in stuck]:
        for name in names:
            if not (_unlink(name, top) or _dissolve(name, top)):
                stuck.add(name)


def _unlink(name: str, parent: int) -> bool:
    """Remove a file or an empty directory; whether that was possible."""
    for remove_one in (os.unlink, os.rmdir):
        try:
            remove_one(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError:
            continue
        return True
    return False


def _dissolve(name: str, top: int) -> bool:
    """Remove a subdirectory of `top` whose own subdirectories go to `top`; whether something came of it."""
    inner = _open(name, top)
    if inner < 0:
        return False
    is_moved = False
    try:
        for entry in os.listdir(inner):
            if not _unlink(entry, inner):
                opened = _open(entry, inner)  # it can be moved only if it can be written to
                if opened >= 0:
                    os.close(opened)
                with contextlib.suppress(OSError):
                    os.rename(entry, os.urandom(8).hex(), src_dir_fd=inner, dst_dir_fd=top)
                    is_moved = True
    finally:
        os.close(inner)
    return _unlink(name, top) or is_moved


def _open(name: str, parent: int) -> int:
    """A subdirectory, opened after its owner was allowed everything in it; -1 if that is not possible.

    Also -1 for one that a file system is mounted on: what is in there is somebody else's.
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
    """The number of the mount that it was opened on (proc_pid_fdinfo(5)); the device does not tell a bind mount."""
    with open(f"/proc/self/fdinfo/{descriptor}", "rb", 0) as stream:
        return next((line for line in stream.read(1 << 12).splitlines() if line.startswith(b"mnt_id:")), b"")
