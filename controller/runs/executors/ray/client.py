"""Sends requests to the dashboard of a Ray cluster, with the standard library alone: Ray is not installed here."""

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controller.errors import UsageError
from controller.records import dataclass
from controller.runs.executors.remote.job_engine import EngineUnreachableError

_MAX_ANSWER_BYTES = 64 << 20
_ADDRESS_HINT = "Use the address of Ray's dashboard, for example http://10.0.0.5:8265."
_DASHBOARD_HINT = (
    "Check --ray-address: it must be the address of Ray's dashboard, whose port is 8265 unless it was changed. "
    "The ports 6379 and 10001 of a Ray cluster do not accept jobs."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the text of an answer."""

    status: int
    text: str


class NoAnswerError(EngineUnreachableError):
    """The request was sent, and no answer came. It may have had its effect."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would send the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Return None, so that the redirect is the answer."""


class DashboardClient:
    """The dashboard at an address. It has no state, so that several threads can use it.

    `token_file`: has the token of a cluster with RAY_AUTH_MODE=token. It is read again for each request.
    """

    def __init__(self, address: str, token_file: Path | None = None) -> None:
        self.address = _checked(address)
        self._token_file = token_file
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if self.address.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
        self._opener = urllib.request.build_opener(*handlers)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None, *, seconds: float) -> Answer:
        """Send a request, and return the answer whatever its status is. Raises EngineUnreachableError.

        Ray answers only with 401 or 403 if it does not accept the token, so these are errors here.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"User-Agent": "controller", **self._authorization()}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.address + path, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=seconds) as response:
                return Answer(response.status, _read(response))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    raise self._rejected(error.code) from None
                return Answer(error.code, _read(error))
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error, seconds) from error

    def get(self, path: str, *, seconds: float) -> Any:
        """Return the JSON that a request is answered with. Raises EngineUnreachableError."""
        answer = self.send("GET", path, seconds=seconds)
        if answer.status != HTTPStatus.OK:
            raise self.unexpected(answer)
        try:
            return json.loads(answer.text)
        except ValueError:
            raise self.not_ray("its answer is not JSON") from None

    def unexpected(self, answer: Answer) -> EngineUnreachableError:
        """Return the error for an answer with a status that a Ray dashboard in working order does not send."""
        status = _name(answer.status)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            detail = last_line(answer.text)
            message = f"The Ray dashboard at {self.address} answered {status}" + (f": {detail}" if detail else "")
            return EngineUnreachableError(_sentence(message), hint="The logs of Ray's head may tell why.")
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            message = f"The server at {self.address} redirects to another address: {status}."
            return EngineUnreachableError(message, hint="Set --ray-address to the final address of Ray's dashboard.")
        return self.not_ray(f"it answered {status}")

    def not_ray(self, why: str) -> EngineUnreachableError:
        """Return the error for an answer that a Ray dashboard would not give."""
        return EngineUnreachableError(
            f"The server at {self.address} is not a Ray dashboard: {why}.", hint=_DASHBOARD_HINT
        )

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
            message = f"Ray's token can't be read from {self._token_file}: {why}."
            raise EngineUnreachableError(message, hint="Check --ray-token-file.") from error
        if not token.isprintable() or not token or " " in token:
            message = f"The file {self._token_file} does not contain one token."
            raise EngineUnreachableError(message, hint="Check --ray-token-file.")
        return {"Authorization": f"Bearer {token}"}

    def _rejected(self, status: int) -> EngineUnreachableError:
        where = f"The Ray dashboard at {self.address}"
        if self._token_file is None:
            message = f"{where} requires a token: {_name(status)}."
            return EngineUnreachableError(message, hint="Name a file with the cluster's token: --ray-token-file.")
        message = f"{where} does not accept the token in {self._token_file}: {_name(status)}."
        return EngineUnreachableError(message, hint="On Ray's head, `ray get-auth-token` prints the token.")

    def _unreachable(self, error: Exception, seconds: float) -> EngineUnreachableError:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        where = f"The Ray dashboard at {self.address}"
        if isinstance(reason, ssl.SSLCertVerificationError):
            message = f"The certificate of {self.address} is not trusted: {reason.verify_message}."
            return EngineUnreachableError(message, hint="Add its authority to the system's, or set SSL_CERT_FILE.")
        if isinstance(reason, ssl.SSLError):
            return EngineUnreachableError(f"{where} does not speak TLS.", hint="Use http:// in --ray-address.")
        if isinstance(reason, TimeoutError):
            return NoAnswerError(f"{where} did not answer within {seconds:g} seconds.")
        if isinstance(reason, socket.gaierror):
            host = urlsplit(self.address).hostname
            return EngineUnreachableError(f"The host {host} is not known.", hint="Check --ray-address.")
        if isinstance(reason, http.client.RemoteDisconnected | ConnectionResetError | http.client.IncompleteRead):
            return NoAnswerError(f"{where} closed the connection without an answer.", hint=_DASHBOARD_HINT)
        if isinstance(reason, http.client.HTTPException):
            return self.not_ray("it does not speak HTTP")
        why = (reason.strerror if isinstance(reason, OSError) else None) or "the connection failed"
        message = f"{where} can't be reached: {why[0].lower()}{why[1:]}."
        return EngineUnreachableError(message, hint="Check --ray-address, and that Ray's head is running.")


def last_line(text: str) -> str:
    """Return the last line of a text that says something, such as the exception at the end of a traceback."""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if len(line) > 1), "")[:300]


def _checked(address: str) -> str:
    message = f"{address!r} is not the address of a Ray dashboard."
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise UsageError(message, hint=_ADDRESS_HINT) from None
    if parts.scheme == "ray":
        raise UsageError(message, hint=f"ray:// is the address for Ray's client library. {_ADDRESS_HINT}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(message, hint=_ADDRESS_HINT)
    if parts.username or parts.password:
        message = "The address of the Ray dashboard contains a user or a password, which are not sent."
        raise UsageError(message, hint="Remove them; a token belongs into a file: --ray-token-file.")
    return address.rstrip("/")


def _read(response: http.client.HTTPResponse | urllib.error.HTTPError) -> str:
    data: bytes = response.read(_MAX_ANSWER_BYTES + 1)
    if len(data) > _MAX_ANSWER_BYTES:
        message = "Ray's answer is longer than 64 MiB."
        raise EngineUnreachableError(message, hint="Delete old jobs from the cluster: `ray job delete`.")
    return data.decode(errors="replace")


def _name(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else str(status)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
