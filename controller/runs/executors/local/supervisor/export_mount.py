"""The exported code of a commit while a run executes it: in use, and read-only where the kernel allows that.

Used by the supervisor, before it starts the flow. `exports/<commit>` holds `process_tree`, the code; `pycache`, which
takes bytecode; `lock`, which keeps the controller from removing what is in use; `doubt`, which has it compare the tree
with its list before the next run.

The supervisor gets mounts of its own (mount_namespaces(7)), in which everything below `exports` but this `pycache` is
read-only, also for root. It still sees what the machine mounts and unmounts later; what the flow mounts ends with the
run. That needs CAP_SYS_ADMIN, which ordinary users and most containers lack: there only permissions protect the tree.
"""

import ctypes
import fcntl
import os

_LIBC = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096
_MS_REC, _MS_SLAVE = 16384, 1 << 19
# What statvfs(3) calls a flag, and what mount(2) does. A remount has to name them all, or it takes them away.
_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}


class Export:
    """The export at `folder`, which the run `run_id` executes. No method raises for what the system refuses."""

    def __init__(self, folder: str, run_id: str) -> None:
        self._folder = folder
        self._run_id = run_id
        self._place = -1

    def hold(self) -> None:
        """Say for the life of this process that the tree is in use."""
        try:
            # Opened before the mounts change, so that `doubt` can be written through it afterwards.
            self._place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            lock = os.open("lock", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._place)
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return

    def protect(self, uid: int) -> None:
        """Keep this process, and what it starts as the user `uid`, from changing the exports; else raise doubt."""
        if not (seal(self._folder) or self._is_anothers(uid)):
            self.doubt()

    def doubt(self) -> None:
        """Have the tree compared before the next run: this one could have changed it, or may have met a change."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open("doubt", flags, 0o600, dir_fd=self._place)
            os.write(descriptor, f"{self._run_id}\n".encode("ascii", "replace"))
            os.close(descriptor)
        except OSError:
            return

    def _is_anothers(self, uid: int) -> bool:
        """Whether the tree belongs to somebody else than this ordinary user, who can't change it then."""
        try:
            return uid != 0 and os.stat(f"{self._folder}/tree").st_uid != uid
        except OSError:
            return False


def seal(folder: str) -> bool:
    """Make the directory above `folder`, but not `folder/pycache`, read-only for this process; whether it is."""
    top, pycache = os.path.dirname(folder), f"{folder}/pycache"
    try:
        if not os.path.lexists(pycache):
            os.mkdir(pycache, 0o700)
        _check(_LIBC.unshare(_CLONE_NEWNS))
        _mount(None, "/", _MS_REC | _MS_SLAVE)  # before any other, or the machine would see those too
        _mount(top, top, _MS_BIND)
        _mount(pycache, pycache, _MS_BIND)
        _mount(None, top, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _flags(top))
    except OSError:
        return False
    return True


def _mount(source: str | None, target: str, flags: int) -> None:
    given = None if source is None else os.fsencode(source)
    _check(_LIBC.mount(given, os.fsencode(target), None, ctypes.c_ulong(flags), None))


def _flags(place: str) -> int:
    said = os.statvfs(place).f_flag
    return sum(to for bit, to in _FLAGS.items() if said & bit)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
