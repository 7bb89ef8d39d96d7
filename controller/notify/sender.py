"""The process that sends messages: to services by apprise, to webhooks as signed JSON, commit statuses and heartbeats.

Started by `sender_process` as `python -m controller.notify.sender`. It reads one JSON request a line from standard
input, and prints one JSON response a line. URLs and keys arrive only there, so that neither the list of processes nor
the environment shows them. This is the only module that imports apprise, which takes seconds to load.
"""

import ctypes
import hashlib
import hmac
import json
import logging
import os
import re
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from controller.notify.failure_texts import describe_exception, describe_phrase
from controller.notify.redaction import Redactor, redactor_of, scheme_of
from controller.text import shorten

SENT, FAILED, REJECTED, GONE, MISCONFIGURED = "sent", "failed", "rejected", "gone", "misconfigured"
"""The statuses of a response. `rejected`: the receiver does not accept this message, but may accept others. `gone`: it
never accepts messages again."""
WEBHOOK_SECONDS = 30.0
HEARTBEAT_SECONDS = 10.0
_PARALLEL_HEARTBEATS = 8
_REJECTIONS = frozenset({400, 406, 409, 411, 413, 415, 422})
"""HTTP statuses that are about the message, not about the address or the credentials."""
_TOKEN_PROBLEMS = {
    401: "the token is invalid or has expired",
    403: "the token does not allow writing commit statuses to this repository",
    404: "the server has no such repository or commit, or the token gives no access to it",
}
_GITLAB_UNCHANGED = "Cannot transition status"
"""The beginning of GitLab's message if a commit has this status already, for example because it was sent before."""
_MAX_ERROR_BYTES = 64 * 1024
_USER_AGENT = "controller-notify"
_PR_SET_PDEATHSIG = 1
_MAIL_REPLY = re.compile(r"\((\d{3}), b'([^']{0,200})'")
"""The reply of a mail server in the text of an exception: its code and its text."""
_INVALID_PART = re.compile(r"invalid ([A-Za-z][A-Za-z ()]{2,40}?) ?\((?!second|first|third)", re.IGNORECASE)
"""The name of the invalid part in a warning: `An invalid Slack (second) Token (None) was specified.`"""
_APPRISE_STATUS = re.compile(r"error=(\d{3})\b")

Response = dict[str, Any]


def handle(request: dict[str, Any]) -> Response:
    """Return the response to a request: `status`, `error` (None if sent), and `retry_after` in seconds or None."""
    trust(request.get("ca"))
    if request["kind"] == "heartbeats":
        with ThreadPoolExecutor(_PARALLEL_HEARTBEATS) as pool:
            return {"responses": list(pool.map(send_heartbeat, request["heartbeats"]))}
    redactor = redactor_of(request)
    send = {"webhook": send_webhook, "commit_status": send_commit_status}.get(request["kind"], send_by_apprise)
    try:
        response = send(request)
    except Exception as error:  # noqa: BLE001 - a library's bug is a failed attempt; its text may contain the URL
        response = _response(FAILED, f"{type(error).__name__} in the library that sends the message")
    error_text = response["error"]
    return {**response, "error": None if error_text is None else redactor.redact(error_text)}


def send_webhook(request: dict[str, Any]) -> Response:
    """Post the payload as JSON, signed with the key if there is one."""
    body = json.dumps(request["payload"], ensure_ascii=False).encode("utf-8", "backslashreplace")
    headers = {"Content-Type": "application/json; charset=utf-8", "X-Controller-Delivery": request["id"]}
    headers["X-Controller-Timestamp"] = timestamp = str(request["timestamp"])
    if request.get("key"):
        headers["X-Controller-Signature"] = sign(request["key"], timestamp, body)
    return _post(request["url"], body, headers, WEBHOOK_SECONDS)


def send_commit_status(request: dict[str, Any]) -> Response:
    """Post a commit status to a git server."""
    token = request["key"]
    if not token.isascii() or not token.isprintable() or " " in token:
        return _response(MISCONFIGURED, "the token contains spaces, line breaks or other characters that no token has")
    body = json.dumps(request["payload"], ensure_ascii=False).encode("utf-8", "backslashreplace")
    headers = {"Content-Type": "application/json", **request["headers"]}
    return _post(request["url"], body, headers, WEBHOOK_SECONDS, describe=_commit_status_failure)


def _commit_status_failure(error: urllib.error.HTTPError) -> Response:
    """Return the response for an error of a git server: what is wrong with the token or the URL, or when to retry."""
    status, headers = error.code, error.headers
    detail = _server_message(error)
    if status == HTTPStatus.BAD_REQUEST and detail.startswith(_GITLAB_UNCHANGED):
        return _response(SENT)
    is_limited = status == HTTPStatus.TOO_MANY_REQUESTS or (
        status == HTTPStatus.FORBIDDEN and (headers.get("Retry-After") or headers.get("X-RateLimit-Remaining") == "0")
    )
    text = f"the git server responded {status_name(status)}" + (f" ({detail})" if detail else "")
    if is_limited:
        pause = _retry_seconds(headers.get("Retry-After"), headers.get("Date")) or _seconds_until_reset(headers)
        return _response(FAILED, f"{text}: too many requests", pause)
    if status in _TOKEN_PROBLEMS:
        return _response(MISCONFIGURED, f"{text}: {_TOKEN_PROBLEMS[status]}")
    if 300 <= status < 400:
        return _response(MISCONFIGURED, f"{text}: redirects are not followed; set url to the repository's present URL")
    return {**_http_failure(error), "error": text}


def _server_message(error: urllib.error.HTTPError) -> str:
    """Return the message in the JSON of an error, shortened; empty if there is none."""
    try:
        content = json.loads(error.read(_MAX_ERROR_BYTES))
        message = content.get("message") or content.get("error")
        message = message.get("message") if isinstance(message, dict) else message
    except Exception:  # noqa: BLE001 - whatever the server sends, its status counts
        return ""
    return shorten(" ".join(message.split()), 120) if isinstance(message, str) else ""


def _seconds_until_reset(headers: Message) -> float | None:
    """Return the seconds until the limit of requests is reset, as GitHub and GitLab report it; None if they don't."""
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    return max(0.0, float(reset) - time.time()) if reset.isdecimal() and len(reset) < 12 else None


def sign(key: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a webhook: HMAC-SHA256 (RFC 2104) of the timestamp, a dot and the body, in hex."""
    signed = timestamp.encode() + b"." + body
    return f"sha256={hmac.new(key.encode('utf-8', 'surrogateescape'), signed, hashlib.sha256).hexdigest()}"


def send_heartbeat(request: dict[str, Any]) -> Response:
    """Post a heartbeat: an empty body, or the reason of a failure."""
    response = _post(request["url"], request["body"].encode("utf-8", "backslashreplace"), {}, HEARTBEAT_SECONDS)
    error = response["error"]
    return {**response, "error": None if error is None else Redactor(request["url"]).redact(error)}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would send the message to a server that the operator did not name."""

    def redirect_request(self, *_: Any) -> None:
        """Return None, so that the redirect is reported as an error."""


def _post(
    url: str,
    body: bytes,
    headers: dict[str, str],
    seconds: float,
    describe: Callable[[urllib.error.HTTPError], Response] = lambda error: _http_failure(error),
) -> Response:
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            return _response(MISCONFIGURED, "the URL contains a user or a password, which are not sent; remove them")
        _ = parts.port
        request = urllib.request.Request(url, data=body, headers={"User-Agent": _USER_AGENT, **headers}, method="POST")
        if request.type not in ("http", "https") or not request.host:
            raise ValueError
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=_tls_context()))
    except ssl.SSLError:
        return _response(MISCONFIGURED, "the file with certificate authorities is invalid")
    except ValueError:
        return _response(
            MISCONFIGURED, "the URL does not begin with https:// or http://, or its host or port is invalid"
        )
    try:
        with opener.open(request, timeout=seconds):
            return _response(SENT)
    except urllib.error.HTTPError as error:
        with error:
            return describe(error)
    except Exception as error:  # noqa: BLE001 - everything that http.client and sockets raise is a failed attempt
        return _response(FAILED, describe_exception(error))


def _http_failure(error: urllib.error.HTTPError) -> Response:
    status, name = error.code, status_name(error.code)
    if 300 <= status < 400:
        return _response(FAILED, f"the receiver responded {name}; redirects are not followed, so use its final URL")
    text = f"the receiver responded {name}"
    if status == HTTPStatus.GONE:
        return _response(GONE, text)
    pause = _retry_seconds(error.headers.get("Retry-After"), error.headers.get("Date"))
    return _response(REJECTED if status in _REJECTIONS else FAILED, text, pause)


def status_name(status: int) -> str:
    """Return an HTTP status with its phrase: `404 Not Found`."""
    return f"{status} {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else str(status)


def _retry_seconds(value: str | None, date: str | None) -> float | None:
    """Return the pause that `Retry-After` asks for (RFC 9110, 10.2.3): seconds, or a time compared with `Date`."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(date or "")).total_seconds())
    except (ValueError, TypeError):
        return None


class _LogLines(logging.Handler):
    """Keeps what apprise logs about one message."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []
        self.causes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep warnings and errors, and the cause from the text of an exception, which is logged for debugging."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self.warnings.append(text)
        elif "Exception" in text or "Response" in text:
            reply = _MAIL_REPLY.search(text)
            cause = describe_phrase(text) if reply is None else f"the mail server responded {reply[1]} {reply[2]}"
            self.causes += [] if cause is None else [cause]

    @property
    def reason(self) -> str:
        """The cause in the log of apprise, or the status of the response, or that there is neither."""
        if self.causes:
            return self.causes[0]
        status = _APPRISE_STATUS.search(" ".join(self.warnings))
        if status is None:
            return "the service did not accept the message; check the URL, and its rights and limits at the service"
        return f"the service responded {status_name(int(status[1]))}"


def send_by_apprise(request: dict[str, Any]) -> Response:
    """Send the title and the body to a service, or only check its URL. apprise returns False, and logs why."""
    import apprise

    lines, logger = _LogLines(), logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.handlers, logger.propagate = [lines], False
    url = request["url"]
    service = _services.get(url)
    if service is None:
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="controller", async_mode=False))
        if not service.add(url):
            return _response(MISCONFIGURED, _unusable(url, lines))
        _services[url] = service
    if request["kind"] == "check":
        return _response(SENT)
    kind = apprise.NotifyType(request["severity"])
    is_sent = service.notify(title=request["title"], body=request["body"], notify_type=kind, body_format="text")
    if is_sent:
        return _response(SENT)
    status = _APPRISE_STATUS.search(" ".join(lines.warnings))
    is_rejected = status is not None and int(status[1]) in _REJECTIONS
    return _response(REJECTED if is_rejected else FAILED, lines.reason)


_services: dict[str, Any] = {}
"""The services by their URLs: apprise keeps the pause between messages that some of them require."""


def _unusable(url: str, lines: _LogLines) -> str:
    """Return why apprise can't use a URL."""
    scheme = scheme_of(url)
    if scheme is None:
        return "the value is not a URL: it must begin with a scheme of apprise, such as mailto:// or slack://"
    if scheme in ("http", "https"):
        return "apprise has no service for this https URL; use the key `webhook` for a server of your own"
    reasons = [line for line in lines.warnings if not line.startswith(("Could not load", "Unparseable", "Unsupported"))]
    if not reasons and any("Unsupported" in line or "Unparseable" in line for line in lines.warnings):
        return f"apprise has no service with the scheme {scheme}, or the URL is incomplete"
    part = _INVALID_PART.search(reasons[0]) if reasons else None
    what = "a part of it" if part is None else f"its {part[1]}"
    return f"apprise can't use the URL for {scheme}: {what} is missing or invalid"


_certificates: int | None = None


def trust(ca: str | None) -> None:
    """Trust the certificate authorities in the file `ca` and in SSL_CERT_FILE, in addition to the usual ones.

    The libraries read them from a file that exists only in memory.
    """
    global _certificates
    files = [file for file in (ca, os.environ.get("SSL_CERT_FILE")) if file]
    if not files or _certificates is not None:
        return
    import certifi

    content = b"\n".join(Path(file).read_bytes() for file in (certifi.where(), *files) if Path(file).is_file())
    _certificates = os.memfd_create("certificates", 0)
    os.write(_certificates, content)
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = f"/proc/self/fd/{_certificates}"


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:  # an image without certificate authorities
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _response(status: str, error: str | None = None, retry_after: float | None = None) -> Response:
    return {"status": status, "error": error, "retry_after": retry_after}


def main(requests: TextIO, responses: TextIO) -> None:
    """Respond to requests until there are no more, or the controller ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for line in requests:
        json.dump(handle(json.loads(line)), responses)
        responses.write("\n")
        responses.flush()


if __name__ == "__main__":
    # Libraries may print: their output must not mix with the responses.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    main(sys.stdin, output)
