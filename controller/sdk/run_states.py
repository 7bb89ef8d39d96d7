"""The states of flow and task runs, named as in docs/runs.md, and the errors that end a run.

Used by the whole package.
"""

from typing import NamedTuple


class State(NamedTuple):
    """The state of a flow or task run, with a reason in `message` for a retry or a failure.

    `name` is `pending`, `running`, `retrying`, `succeeded`, `failed`, `timed_out`, `skipped` or `cancelled`.
    """

    name: str
    message: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.name not in ("pending", "running", "retrying")

    def is_completed(self) -> bool:
        """Return whether the run has succeeded."""
        return self.name == "succeeded"

    def is_failed(self) -> bool:
        """Return whether the run has ended without success."""
        return self.is_final and not self.is_completed()


PENDING = State("pending")
RUNNING = State("running")
SUCCEEDED = State("succeeded")
CANCELLED = State("cancelled")


class Skip(Exception):
    """There is nothing to do: `raise Skip("no new files")` ends the flow or task as `skipped`, not as failed.

    The reason is optional. A skip is never retried.
    """


def find_skip(error: BaseException) -> Skip | None:
    """Return the Skip that an error consists of: itself, or the first one in a group of nothing else."""
    if is_group(error):
        skips = [find_skip(item) for item in getattr(error, "exceptions", ())]
        return None if None in skips else skips[0]
    return error if isinstance(error, Skip) else None


def is_group(error: BaseException) -> bool:
    """Return whether this is an exception group: the built-in one, or that of a package for Python 3.10."""
    return hasattr(error, "exceptions") and hasattr(error, "subgroup")


def failure(error: BaseException) -> State:
    """Return the final state of a run that raised this error."""
    if isinstance(error, Skip):
        return State("skipped", first_line(error))
    if isinstance(error, TimedOutError):
        return State("timed_out", str(error))
    return State("failed", summary(error))


def failure_before_start(error: BaseException) -> State:
    """Return the final state of a run that was not started because of this error."""
    return State("skipped", str(error)) if isinstance(error, UpstreamFailedError) else failure(error)


def summary(error: BaseException) -> str:
    """Return the class of the error and the first line of its message, at most 1,000 characters long."""
    name, line = visible(type(error).__name__), first_line(error)
    return f"{name}: {line}"[:1000] if line else name


def first_line(error: BaseException) -> str | None:
    """Return the first line of the message of an error, at most 1,000 characters long; None if it has none."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - the user's `__str__` may raise anything
        return None
    return visible(lines[0][:1000])[:1000] if lines else None


def visible(text: str, *, keep: str = "") -> str:
    r"""Return the text with unprintable characters escaped, such as `\n` and `\x1b`, except those in `keep`.

    Unprintable are control characters, ANSI escapes, bidirectional marks, unusual spaces and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else repr(char)[1:-1] for char in text)


class TimedOutError(TimeoutError):
    """A flow or task ran longer than its `timeout_seconds`."""


class UpstreamFailedError(RuntimeError):
    """A task was not run because a task that it depends on did not succeed."""


class TasksFailedError(RuntimeError):
    """A flow returned, but tasks that it had submitted failed, and it never read their results or states."""


class ExitedError(RuntimeError):
    """A task or a subflow called `sys.exit`. It must not end the process, which runs the whole flow."""


class MissingContextError(RuntimeError):
    """A function that works only inside a running flow or task was called outside."""
