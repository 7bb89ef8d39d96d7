"""Sends the heartbeat of the controller: one GET request to the URL of a monitor outside.

`controller.app.notifications` calls it each minute while the controller works. The URL is a secret: neither logs nor
errors contain it.
"""

import logging
import threading
from pathlib import Path

from controller.backoff import Backoff
from controller.clock import Clock

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 20.0


class HeartbeatRequest:
    """Sends requests to `url`, in a thread of its own for each. Only the thread of notifications may call it.

    `ca` is a file with further certificate authorities to trust.
    """

    def __init__(self, url: str, clock: Clock, ca: Path | None = None) -> None:
        self._url = url
        self._ca = ca
        self._failures = Backoff(clock, first=1, longest=1)
        self._thread: threading.Thread | None = None

    def send(self) -> None:
        """Send one request, unless the last one is still in progress. Returns at once."""
        if self._thread is None or not self._thread.is_alive():
            # A daemon thread, so that the process can exit while the name of the host is looked up.
            self._thread = threading.Thread(target=self._send, name="heartbeat", daemon=True)
            self._thread.start()

    def _send(self) -> None:
        problem = self._request()
        if problem is None:
            if self._failures.succeed():
                log.info("The heartbeat is received again")
        elif self._failures.fail(problem):
            log.warning("The heartbeat could not be sent", extra={"error": problem})

    def _request(self) -> str | None:
        """Send the request. Return why it failed, without the URL; None if it was sent."""
        import ssl
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        try:
            context = ssl.create_default_context() if self._url.startswith("https:") else None
            if context is not None and self._ca is not None:
                context.load_verify_locations(self._ca)
            request = Request(self._url, headers={"User-Agent": "controller"})
            with urlopen(request, timeout=TIMEOUT_SECONDS, context=context) as response:
                response.read(1024)
        except HTTPError as error:
            error.close()
            return f"the server responded with status {error.code}"
        except URLError as error:
            return _reason(error.reason)
        except Exception as error:  # noqa: BLE001 - its text may contain the URL
            return _reason(error)
        return None


def _reason(error: object) -> str:
    """Return a text about an error that contains no part of the URL."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "the server did not respond in time"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
