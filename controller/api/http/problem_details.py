"""Problem details (RFC 9457): the errors of the API, with the reason, message and hint of the command line."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from controller.errors import (
    ConflictError,
    ControllerError,
    NoLeaderError,
    NotFoundError,
    NotRunningError,
    RefNotFoundError,
    SourceError,
    StateError,
    StoppingError,
    UsageError,
)
from controller.operations.parameter_check import ParametersError
from controller.queries.serialization import to_json
from controller.runs.executors.remote.seat import NotReadyError, TicketError
from controller.triggers.webhooks import TooManyRequestsError, UnauthorizedError

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[ControllerError], int], ...] = (
    (NotFoundError, 404),
    (RefNotFoundError, 404),
    (ConflictError, 409),
    (UsageError, 422),
    (UnauthorizedError, 401),
    (TooManyRequestsError, 429),
    (TicketError, 401),
    (SourceError, 502),
    (StateError, 503),
    (NotRunningError, 503),
    (NoLeaderError, 503),
    (StoppingError, 503),
)


class FieldProblem(BaseModel):
    """One error in one place of the request. `path` leads to that place."""

    code: str
    message: str
    path: list[str | int]
    hint: str | None = None


class Problem(BaseModel):
    """Problem details (RFC 9457). `reason` is a stable code, `detail` a message, and `hint` says what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reason: str
    hint: str | None = None
    errors: list[FieldProblem] = []


def problem(
    status: int,
    reason: str,
    detail: str,
    *,
    hint: str | None = None,
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        "hint": hint,
        "errors": list(errors),
    }
    return Response(json.dumps(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: ControllerError) -> Response:
    """Return the error response for a ControllerError."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 503)
    errors = to_json(error.faults) if isinstance(error, ParametersError) else ()
    headers = {}
    if isinstance(error, NoLeaderError):
        headers = {"retry-after": "2"}
    elif isinstance(error, TooManyRequestsError):
        headers = {"retry-after": str(error.seconds)}
    elif isinstance(error, UnauthorizedError):
        headers = {"www-authenticate": "Signature"}
    elif isinstance(error, TicketError):
        headers = {"www-authenticate": 'Bearer realm="node"'}
    elif isinstance(error, NotReadyError):
        headers = {"retry-after": "1"}
    return problem(status, error.reason, error.message, hint=error.hint, errors=errors, headers=headers)
