"""The one tree of errors: each has a PascalCase `reason` that users may alert on, a message and a hint.

Every layer raises from here; only the surfaces turn an error into text and an exit code. Bad input of a
repository is not an error but a `Finding` (controller.model.findings).
"""

import errno
from collections.abc import Iterable


class ControllerError(Exception):
    """Something could not be done. The command line prints `message` and `hint` and exits with 2."""

    reason = "Failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ControllerError):
    """What was asked for makes no sense as it was asked."""

    reason = "Usage"


class ConflictError(UsageError):
    """What was asked for makes sense, but not as things stand now."""

    reason = "Conflict"


class NotFoundError(ControllerError):
    """No deployment, run or file goes by that name."""

    reason = "NotFound"


class SourceError(ControllerError):
    """The repository could not be read. Nothing is pruned on its account; schedules go on.

    `needs_change`: it will not go away by itself.
    """

    reason = "SourceUnavailable"
    needs_change = False


class GitUnavailableError(SourceError):
    """The program git is missing, too old, or does not work."""


class RepositoryNotFoundError(SourceError):
    """There is no repository at that place, or the server says so to those whom it does not let in."""

    reason = "RepositoryNotFound"
    needs_change = True


class EmptyRepositoryError(SourceError):
    """The repository has no commit yet."""

    reason = "EmptyRepository"
    needs_change = True


class RefNotFoundError(SourceError):
    """The repository has no such branch, tag or commit, or not any more."""

    reason = "RefNotFound"
    needs_change = True


class PathNotFoundError(SourceError):
    """No commit ever had the deployments path: a slip, not an empty directory."""

    reason = "PathNotFound"
    needs_change = True


class AuthenticationError(SourceError):
    """The server refused the credentials, or there were none; or the server could not prove who it is."""

    reason = "AuthenticationFailed"
    needs_change = True


class UnreachableError(SourceError):
    """The server could not be reached, or it broke off."""

    reason = "Unreachable"


class SourceTimeoutError(SourceError):
    """The server did not answer in time."""

    reason = "Timeout"


SOURCE_REASONS = frozenset({SourceError.reason, *(kind.reason for kind in SourceError.__subclasses__())})
"""What a condition says while a source can't be read."""


class StoppingError(ControllerError):
    """What was under way was ended because the controller stops."""

    reason = "Stopping"

    def __init__(self) -> None:
        super().__init__("The controller is stopping.")


class ScheduleError(ControllerError):
    """A schedule that can't be understood, or never fires."""

    reason = "InvalidSchedule"


class StateError(ControllerError):
    """The state directory or database can't be used."""

    reason = "StateUnavailable"


class NoStateError(StateError):
    """No controller has ever run here."""

    reason = "NoState"


class StateLostError(StateError):
    """The state was removed or replaced while a controller used it, or has lost its history."""

    reason = "StateLost"


class StorageFullError(StateError):
    """The disk that holds the state is full: nothing can be recorded until there is space."""

    reason = "StorageFull"


class ResourceError(ControllerError):
    """The machine is short of something for now: descriptors, memory, processes, space. What needs it is retried."""

    reason = "ResourceShortage"


class AlreadyRunningError(StateError):
    """Another controller holds the state directory."""

    reason = "AlreadyRunning"


class NotRunningError(ControllerError):
    """A command needs the running controller, and none answers."""

    reason = "NotRunning"


def unknown_deployment(name: str, known: Iterable[str]) -> NotFoundError:
    """The error for a name that no deployment has, with the nearest that one has."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"Did you mean {near[0]}?" if near else "See `controller deployments list`."
    return NotFoundError(f"There is no deployment {name!r}.", hint=hint)


_OF_PROCESSES = {
    errno.EMFILE: "no file descriptors",
    errno.ENFILE: "no file descriptors on this machine",
    errno.ENOMEM: "no memory",
    errno.EAGAIN: "no more processes or threads are allowed",
}
_OF_DISKS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk reports I/O errors",
}


def shortage(error: BaseException | None, *, with_disk: bool = True) -> str | None:
    """What the machine is short of, if this error or one of its causes says so; it may be there again later.

    `with_disk`: a disk that is full, read-only or broken counts as well.
    """
    words = {**_OF_PROCESSES, **_OF_DISKS} if with_disk else _OF_PROCESSES
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ResourceError):
            return error.message
        if isinstance(error, OSError) and error.errno in words:
            return words[error.errno]
        if isinstance(error, MemoryError):
            return words[errno.ENOMEM]
        error = error.__cause__ or error.__context__
    return None
