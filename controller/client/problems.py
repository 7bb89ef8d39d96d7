"""The errors of the client: the controller rejects a request, does not respond, or cannot be reached."""

from collections.abc import Mapping
from typing import Any

from controller.client.shapes import Fault


class ProblemError(Exception):
    """The controller rejected the request, with these problem details (RFC 9457)."""

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        super().__init__(str(problem.get("detail") or f"The controller returned HTTP {status}."))
        self.status = status
        self.reason = str(problem.get("reason", "Failed"))
        self.detail = str(self)
        self.hint: str | None = problem.get("hint")
        self.errors: list[Fault] = list(problem.get("errors") or [])


class NoAnswerError(ConnectionError):
    """The controller did not respond: connection closed or timed out. The request may have been carried out or not."""


class NotReachedError(NoAnswerError):
    """No connection to the controller: the request was not sent."""
