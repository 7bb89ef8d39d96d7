"""Limits how often something may happen. `api.http.security_middleware` and `triggers.webhook_guard` use it."""

import threading

from controller.clock import Clock


class TokenBucket:
    """Allows `size` uses at once, and `per_second` more each second. Thread-safe; needs constant memory."""

    def __init__(self, clock: Clock, size: int, per_second: float) -> None:
        self._clock = clock
        self._size = size
        self._per_second = per_second
        self._lock = threading.Lock()
        self._tokens = float(size)
        self._updated = clock.elapsed()

    def take(self) -> float:
        """Use a token, and return 0; without one, return the seconds until there is one again."""
        with self._lock:
            now = self._clock.elapsed()
            self._tokens = min(self._size, self._tokens + (now - self._updated) * self._per_second)
            self._updated = now
            if self._tokens < 1:
                return (1 - self._tokens) / self._per_second
            self._tokens -= 1
            return 0.0
