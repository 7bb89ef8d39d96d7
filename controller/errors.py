"""The one tree of errors: each has a PascalCase `reason` that users may alert on, a message and a hint.

Every layer raises from here; only the surfaces turn an error into text and an exit code. Bad input of a
repository is not an error but a `Finding` (controller.model.findings).
"""

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


class NotFoundError(ControllerError):
    """No deployment, run or file goes by that name."""

    reason = "NotFound"


class SourceError(ControllerError):
    """The repository could not be read. Nothing is pruned on its account; schedules go on.

    `needs_change`: it will not go away by itself.
    """

    reason = "SourceUnavailable"
    needs_change = False


class ScheduleError(ControllerError):
    """A schedule that can't be understood, or never fires."""

    reason = "InvalidSchedule"


class StateError(ControllerError):
    """The state directory or database can't be used."""

    reason = "StateUnavailable"


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
