"""What goes wrong for a client: the controller refuses, does not answer, or is not there."""

from collections.abc import Mapping
from typing import Any

from controller.client.shapes import Fault


class ProblemError(Exception):
    """What the controller answered instead (RFC 9457)."""

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        super().__init__(str(problem.get("detail") or f"The controller answered {status}."))
        self.status = status
        self.reason = str(problem.get("reason", "Failed"))
        self.detail = str(self)
        self.hint: str | None = problem.get("hint")
        self.errors: list[Fault] = list(problem.get("errors") or [])


class NoAnswerError(ConnectionError):
    """The controller has gone, or takes longer than the timeout: what was asked for may have been done or not."""


class NotReachedError(NoAnswerError):
    """Nobody listens there: nothing was asked."""
