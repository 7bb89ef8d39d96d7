"""Protects the exported code of a commit while a run executes it: locks it, and makes it read-only if possible.

Used by the supervisor, before it starts the flow. `exports/<commit>` contains `tree`, the code; `pycache`, the
bytecode; `lock`, which prevents the controller from removing an export in use; and `doubt`, which makes the controller
compare the tree with its list of files before the next run.

The supervisor enters its own mount namespace (mount_namespaces(7)), in which everything below `exports` except this
`pycache` is read-only, also for root. It still sees file systems that the machine mounts and unmounts later; mounts of
the flow disappear with the run. This needs CAP_SYS_ADMIN, which ordinary users and most containers lack; without it,
only permissions protect the tree.
"""

import ctypes
import fcntl
import os

_LIBC = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096
_MS_REC, _MS_SLAVE = 16384, 1 << 19
# Maps flags of statvfs(3) to those of mount(2). A remount must repeat all of them, or it clears them.
_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}


class Export:
    """The export at `folder`, which the run `run_id` executes. No method raises if the system rejects an operation."""

    def __init__(self, folder: str, run_id: str) -> None:
        self._folder = folder
        self._run_id = run_id
        self._directory_fd = -1

    def lock(self) -> None:
        """Hold a shared lock on the tree for the life of this process, which marks it as in use."""
        try:
            # Opened before the mounts change, so that `doubt` can still be written through it.
            self._directory_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            lock = os.open("lock", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory_fd)
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return

    def protect(self, uid: int) -> None:
        """Prevent this process and its children, running as `uid`, from changing the exports.

        If that is not possible, mark the tree as unverified.
        """
        if not (make_read_only(self._folder) or self._has_other_owner(uid)):
            self.mark_unverified()

    def mark_unverified(self) -> None:
        """Have the tree verified before the next run, because this run may have changed it or met a change."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open("doubt", flags, 0o600, dir_fd=self._directory_fd)
            os.write(descriptor, f"{self._run_id}\n".encode("ascii", "replace"))
            os.close(descriptor)
        except OSError:
            return

    def _has_other_owner(self, uid: int) -> bool:
        """Return whether `uid` is an ordinary user who does not own the tree, and so can't change it."""
        try:
            return uid != 0 and os.stat(f"{self._folder}/tree").st_uid != uid
        except OSError:
            return False


def make_read_only(folder: str) -> bool:
    """Make the parent of `folder`, except `folder/pycache`, read-only for this process. Return whether that worked."""
    top, pycache = os.path.dirname(folder), f"{folder}/pycache"
    try:
        if not os.path.lexists(pycache):
            os.mkdir(pycache, 0o700)
        _check(_LIBC.unshare(_CLONE_NEWNS))
        _mount(None, "/", _MS_REC | _MS_SLAVE)  # must come first, or the machine would see our mounts too
        _mount(top, top, _MS_BIND)
        _mount(pycache, pycache, _MS_BIND)
        _mount(None, top, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _flags(top))
    except OSError:
        return False
    return True


def _mount(source: str | None, target: str, flags: int) -> None:
    encoded = None if source is None else os.fsencode(source)
    _check(_LIBC.mount(encoded, os.fsencode(target), None, ctypes.c_ulong(flags), None))


def _flags(path: str) -> int:
    current = os.statvfs(path).f_flag
    return sum(mount_flag for bit, mount_flag in _FLAGS.items() if current & bit)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
