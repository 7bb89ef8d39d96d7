"""How a flow or task run stands, in the words of docs/runs.md. Everything in this package uses it."""

from typing import NamedTuple


class State(NamedTuple):
    """One of the names below, and why where that is worth a word."""

    name: str
    message: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self.name not in ("pending", "running", "retrying")

    def is_completed(self) -> bool:
        """Whether it went well."""
        return self.name == "succeeded"

    def is_failed(self) -> bool:
        """Whether it ended, and not well."""
        return self.is_final and not self.is_completed()


PENDING = State("pending")
RUNNING = State("running")
SUCCEEDED = State("succeeded")
CANCELLED = State("cancelled")


def failure(error: BaseException) -> State:
    """The state of what has raised this."""
    if isinstance(error, UpstreamFailedError):
        return State("skipped", str(error))
    if isinstance(error, TimedOutError):
        return State("timed_out", str(error))
    return State("failed", summary(error))


def summary(error: BaseException) -> str:
    """The error in one line."""
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001 - the error is the user's, and so is what it says
        lines = []
    name = visible(type(error).__name__)
    return f"{name}: {visible(lines[0])}"[:1000] if lines and lines[0] else name


def visible(text: str) -> str:
    r"""The text with what doesn't print as itself spelled out: `\n`, `\x1b`."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class TimedOutError(TimeoutError):
    """A flow or task ran longer than its `timeout_seconds`."""


class UpstreamFailedError(RuntimeError):
    """A task was not run because one that it needs did not succeed."""


class TasksFailedError(RuntimeError):
    """A flow returned, but tasks that it had submitted failed and it never looked."""


class ExitedError(RuntimeError):
    """A task or a subflow called `sys.exit`: it has no value, and the process is not its own to end."""


class MissingContextError(RuntimeError):
    """Something was asked for that is there only while a flow or task runs."""
