"""Run ids: UUIDv7 (RFC 9562, 5.7), so that they sort by creation time."""

import secrets
import threading
import uuid
from collections.abc import Callable
from datetime import datetime

from controller.model.runs import RunId


class RunIds:
    """A generator of strictly increasing ids, also within a millisecond and when the clock is set back.

    `bits(n)` returns a random number of n bits. New ids sort after `newest`, the highest id so far, even if a clock
    that was ahead created it.
    """

    def __init__(self, bits: Callable[[int], int] = secrets.randbits, newest: str | None = None) -> None:
        self._bits = bits
        self._lock = threading.Lock()
        self._last = 0 if newest is None else _counter(newest)

    def new(self, now: datetime) -> RunId:
        """Return the next id."""
        with self._lock:
            # 48 bits of milliseconds, then a 12-bit counter within the millisecond.
            self._last = max(self._last + 1, int(now.timestamp() * 1000) << 12)
            stamp, count = self._last >> 12, self._last & 0xFFF
        value = stamp << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | self._bits(62)
        return RunId(str(uuid.UUID(int=value)))


def _counter(run_id: str) -> int:
    """Return the milliseconds and the counter in this id; 0 for an id of another kind."""
    try:
        value = uuid.UUID(run_id)
    except ValueError:
        return 0
    return (value.int >> 80) << 12 | (value.int >> 64 & 0xFFF) if value.version == 7 else 0


def new_nonce() -> str:
    """Return a random name for one attempt to launch a run."""
    return secrets.token_hex(4)
