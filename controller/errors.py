"""The hierarchy of errors: each has a PascalCase `reason` that users may alert on, a message and a hint.

Every layer raises these errors; only the user interfaces turn them into text and an exit code. Invalid content in a
repository is not an error but a `Finding` (controller.model.findings).
"""

import errno
from collections.abc import Iterable

from controller.text import closest


class ControllerError(Exception):
    """Something could not be done. The command line prints `message` and `hint` and exits with 2."""

    reason = "Failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ControllerError):
    """The request itself is invalid: an unknown option, a malformed value, or options that exclude each other."""

    reason = "Usage"


class ConflictError(UsageError):
    """The request is valid, but it conflicts with the current state of its object."""

    reason = "Conflict"


class NotFoundError(ControllerError):
    """No deployment, run or file has that name."""

    reason = "NotFound"


class SourceError(ControllerError):
    """The repository could not be read. Nothing is pruned because of this, and schedules keep firing.

    `needs_change` is set where retrying alone will not help: the settings, the repository or the server must be
    changed.
    """

    reason = "SourceUnavailable"
    needs_change = False


class GitUnavailableError(SourceError):
    """The program git is missing, too old, or does not work."""


class RepositoryNotFoundError(SourceError):
    """There is no repository at that location. Servers also report this to clients without access to it."""

    reason = "RepositoryNotFound"
    needs_change = True


class EmptyRepositoryError(SourceError):
    """The repository has no commit yet."""

    reason = "EmptyRepository"
    needs_change = True


class RefNotFoundError(SourceError):
    """The repository has no such branch, tag or commit, or no longer has it."""

    reason = "RefNotFound"
    needs_change = True


class PathNotFoundError(SourceError):
    """No commit ever contained the deployments path, so it is probably a typo rather than an emptied directory."""

    reason = "PathNotFound"
    needs_change = True


class AuthenticationError(SourceError):
    """The server rejected the credentials, none were configured, or the server's own identity could not be verified."""

    reason = "AuthenticationFailed"
    needs_change = True


class UnreachableError(SourceError):
    """The server could not be reached, or it closed the connection early."""

    reason = "Unreachable"


class SourceTimeoutError(SourceError):
    """The server did not respond in time."""

    reason = "Timeout"


SOURCE_REASONS = frozenset({SourceError.reason, *(kind.reason for kind in SourceError.__subclasses__())})
"""The reasons that a condition may have while the source can't be read."""


class StoppingError(ControllerError):
    """An operation was interrupted because the controller is stopping."""

    reason = "Stopping"

    def __init__(self) -> None:
        super().__init__("The controller is stopping.")


class ScheduleError(ControllerError):
    """A schedule can't be parsed, or never fires."""

    reason = "InvalidSchedule"


class AmbiguousDurationError(ScheduleError):
    """A duration such as `1M` could mean minutes or months."""


class StateError(ControllerError):
    """The state directory or database can't be used."""

    reason = "StateUnavailable"


class NoStateError(StateError):
    """There is no state: no controller has ever run for this repository."""

    reason = "NoState"


class StateLostError(StateError):
    """The state was removed or replaced while a controller was using it, or its history is missing."""

    reason = "StateLost"


class DeposedError(StateLostError):
    """Another controller leads the project now, so this one can't write to the state any more."""

    reason = "Deposed"


class StorageFullError(StateError):
    """The disk that holds the state is full: nothing can be recorded until space is freed."""

    reason = "StorageFull"


class ResourceError(ControllerError):
    """The machine is temporarily out of file descriptors, memory, processes or disk space. The operation is retried."""

    reason = "ResourceShortage"


class AlreadyRunningError(StateError):
    """Another controller has locked the state directory."""

    reason = "AlreadyRunning"


class NotRunningError(ControllerError):
    """A command needs a running controller, and none responds."""

    reason = "NotRunning"


class NoLeaderError(ControllerError):
    """A standby can't pass a request on, because no controller leads, or because it can't reach the one that does."""

    reason = "NoLeader"


def unknown_deployment(name: str, existing: Iterable[str]) -> NotFoundError:
    """Return the error for a name that no deployment has. Its hint suggests the most similar existing name."""
    matches = closest(name, existing)
    hint = f"Did you mean {matches[0]}?" if matches else "See `controller deployments list`."
    return NotFoundError(f"There is no deployment {name!r}.", hint=hint)


_PROCESS_SHORTAGES = {
    errno.EMFILE: "no file descriptors",
    errno.ENFILE: "no file descriptors on this machine",
    errno.ENOMEM: "no memory",
    errno.EAGAIN: "no more processes or threads are allowed",
}
_DISK_SHORTAGES = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk reports I/O errors",
}


def shortage(error: BaseException | None, *, with_disk: bool = True) -> str | None:
    """Return what the machine is out of if `error` or one of its causes shows a shortage, else None.

    A shortage may pass by itself, so callers can retry. With `with_disk`, a disk that is full, read-only or broken is
    also a shortage.
    """
    shortages = {**_PROCESS_SHORTAGES, **_DISK_SHORTAGES} if with_disk else _PROCESS_SHORTAGES
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        if isinstance(error, ResourceError):
            return error.message
        if isinstance(error, OSError) and error.errno in shortages:
            return shortages[error.errno]
        if isinstance(error, MemoryError):
            return shortages[errno.ENOMEM]
        error = error.__cause__ or error.__context__
    return None
