"""Why a message could not be sent, in our own words instead of those of OpenSSL, sockets and apprise."""

import http.client
import socket
import ssl
import urllib.error

import pytest

from controller.notify.failure_texts import describe_exception, describe_phrase
from controller.notify.sender import send_webhook


def certificate_error(code: int, text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, text)
    error.verify_code, error.verify_message = code, text
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ConnectionRefusedError(111, "Connection refused"),
            "the server refused the connection; check the host and the port",
        ),
        (urllib.error.URLError(socket.gaierror(-2, "Name or service not known")), "the name of the server is unknown"),
        (urllib.error.URLError(TimeoutError("timed out")), "timed out"),
        (http.client.RemoteDisconnected("Remote end closed"), "the server closed the connection without a response"),
        (http.client.BadStatusLine("SSH-2.0"), "the server does not respond as HTTP requires"),
        (
            certificate_error(10, "certificate has expired"),
            "the certificate of the server is not trusted: it has expired",
        ),
        (certificate_error(99, "ca md too weak"), "the certificate of the server is not trusted"),
        (OSError(5, "topsecret"), "the connection failed"),
    ],
)
def test_an_exception_is_described(error: BaseException, text: str) -> None:
    assert describe_exception(error).startswith(text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("[Errno 111] Connection refused", "the server refused the connection"),
        (
            "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1016)",
            "the server does not speak TLS on this port",
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
            "it is signed by itself",
        ),
        ("read timed out", "timed out"),
    ],
)
def test_a_phrase_of_a_library_is_described(phrase: str, text: str) -> None:
    assert text in (describe_phrase(phrase) or "")


def test_an_unknown_phrase_is_not_repeated() -> None:
    assert describe_phrase("https://example.org/topsecret failed") is None


@pytest.mark.parametrize("url", ["https://me:topsecret@example.org/x", "https://example.org:99999/x", "https://[x/"])
def test_a_url_that_can_not_work_is_misconfigured(url: str) -> None:
    response = send_webhook({"url": url, "payload": {}, "id": "1", "timestamp": 1})
    assert response["status"] == "misconfigured"
    assert "topsecret" not in response["error"]
