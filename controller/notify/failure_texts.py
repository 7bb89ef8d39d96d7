"""Describes why a message could not be sent, without the texts of libraries, which name URLs and their own internals.

`sender` calls it, in the process that sends messages. Pure.
"""

import errno
import http.client
import re
import socket
import ssl

_UNREACHABLE = "the server can't be reached from this machine"
_UNKNOWN_HOST = "the name of the server is unknown; check the host in the URL, and the DNS of this machine"
_CLOSED = "the server closed the connection without a response"
_NO_TLS = "the server does not speak TLS on this port; check the port and the scheme of the URL"
_NOT_TRUSTED = "the certificate of the server is not trusted"
_CERTIFICATE = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself; --notify-ca FILE trusts it",
    19: "comes from an unknown authority; --notify-ca FILE adds it",
    20: "comes from an unknown authority; --notify-ca FILE adds it",
    21: "comes from an unknown authority, or lacks an intermediate certificate",
    62: "is for another host",
    64: "is for another address",
}
"""What is wrong with a certificate, by the X509_V_ERR codes of OpenSSL."""
_NUMBERS = {
    errno.ECONNREFUSED: "the server refused the connection; check the host and the port",
    errno.ECONNRESET: _CLOSED,
    errno.EPIPE: _CLOSED,
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ETIMEDOUT: "timed out",
}
_PHRASES = (
    (r"connection refused", _NUMBERS[errno.ECONNREFUSED]),
    (r"reset by peer|connection aborted|connection unexpectedly closed|without response", _CLOSED),
    (r"name or service not known|failure in name resolution|no address associated", _UNKNOWN_HOST),
    (r"no route to host|network is unreachable", _UNREACHABLE),
    (r"self.signed certificate", f"{_NOT_TRUSTED}: it {_CERTIFICATE[18]}"),
    (r"local issuer certificate", f"{_NOT_TRUSTED}: it {_CERTIFICATE[20]}"),
    (r"certificate has expired", f"{_NOT_TRUSTED}: it {_CERTIFICATE[10]}"),
    (r"hostname mismatch|not valid for|doesn't match", f"{_NOT_TRUSTED}: it {_CERTIFICATE[62]}"),
    (r"certificate verify failed", _NOT_TRUSTED),
    (r"wrong version number", _NO_TLS),
    (r"starttls", "the server does not support STARTTLS; use mailtos:// with the port for TLS, or mailto://"),
    (r"timed out", "timed out"),
    (r"unable to connect to proxy", "the proxy can't be reached"),
)
"""Our words for what the exceptions say that apprise logs."""


def describe_exception(error: BaseException) -> str:
    """Return why a request failed, for an exception of `urllib`, `http.client`, `ssl` or `socket`."""
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, BaseException) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        detail = _CERTIFICATE.get(inner.verify_code)
        return _NOT_TRUSTED if detail is None else f"{_NOT_TRUSTED}: it {detail}"
    if isinstance(inner, ssl.SSLError):
        return _NO_TLS if inner.reason == "WRONG_VERSION_NUMBER" else "the server rejected the TLS connection"
    if isinstance(inner, TimeoutError):
        return "timed out"
    if isinstance(inner, socket.gaierror):
        return _UNKNOWN_HOST
    if isinstance(inner, http.client.RemoteDisconnected):
        return _CLOSED
    if isinstance(inner, http.client.HTTPException):
        return "the server does not respond as HTTP requires"
    number = inner.errno if isinstance(inner, OSError) else None
    return _NUMBERS.get(number or 0, "the connection failed")


def describe_phrase(text: str) -> str | None:
    """Return why a request failed, from the text of an exception; None if it names no known cause."""
    return next((words for pattern, words in _PHRASES if re.search(pattern, text, re.IGNORECASE)), None)
