"""Limits the requests to webhooks, counts them, and says when a refused one is worth an event.

`triggers.webhooks` uses it. All of it is in memory, and its size depends only on the number of declared webhooks.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from controller.clock import Clock
from controller.rate_limit import TokenBucket

GIT = "git"
"""The name of `/hooks/git`, which no declared webhook can have."""
UNDECLARED = ""
"""Stands for all names that no deployment declares: they cost no memory."""
BURST = 60
PER_SECOND = 2.0
_MAX_FAILURES = 20
_FAILURES_PER_SECOND = 2.0
_EVENTS = 10
_MINUTE = 60.0


class WebhookResult(StrEnum):
    """The result of a request.

    `invalid`: its body or its parameters do not fit. `conflict`: the deployment is suspended or held. `unavailable`:
    the secret can't be read.
    """

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    CONFLICT = "conflict"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"


class WebhookGuard:
    """The limits and counters of all webhooks since the start of the controller. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, WebhookResult]] = Counter()
        self._buckets: dict[str, TokenBucket] = {}
        self._event_buckets: dict[str, TokenBucket] = {}
        self._silent: dict[str, Counter[WebhookResult]] = {}
        self._failures = TokenBucket(clock, _MAX_FAILURES, _FAILURES_PER_SECOND)
        self._events = TokenBucket(clock, _EVENTS, _EVENTS / _MINUTE)

    @property
    def counts(self) -> Mapping[tuple[str, WebhookResult], int]:
        """The requests so far by webhook and result."""
        with self._lock:
            return self._counts.copy()

    def count(self, name: str, result: WebhookResult) -> None:
        """Count a request to this webhook."""
        with self._lock:
            self._counts[name, result] += 1

    def limit(self, name: str) -> float:
        """Return 0 if a signed request may be accepted now, else the seconds after which it may be sent again."""
        with self._lock:
            bucket = self._buckets.setdefault(name, TokenBucket(self._clock, BURST, PER_SECOND))
        return bucket.take()

    def limit_failures(self) -> float:
        """Return 0 if the request without a valid signature may be answered as such, else the seconds to wait."""
        return self._failures.take()

    def count_silent(self, name: str, result: WebhookResult) -> Counter[WebhookResult] | None:
        """Return the results of the refusals without an event since the last one; None if this one has none either.

        The limits are one event per minute and webhook, and ten events per minute.
        """
        with self._lock:
            bucket = self._event_buckets.setdefault(name, TokenBucket(self._clock, 1, 1 / _MINUTE))
            if bucket.take() or self._events.take():
                self._silent.setdefault(name, Counter())[result] += 1
                return None
            return self._silent.pop(name, Counter())
