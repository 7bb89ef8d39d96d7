"""Run ids: UUIDv7 (RFC 9562, 5.7), so that they sort by the time of their making."""

import secrets
import threading
import uuid
from collections.abc import Callable
from datetime import datetime

from controller.model.runs import RunId


class RunIds:
    """A source of ids that grow, also within a millisecond and when the clock steps back.

    `bits` gives a random number of so many bits. `newest` is the id that sorts last so far: new ones sort after it,
    also if a clock that was ahead gave it.
    """

    def __init__(self, bits: Callable[[int], int] = secrets.randbits, newest: str | None = None) -> None:
        self._bits = bits
        self._lock = threading.Lock()
        self._last = 0 if newest is None else _counter(newest)

    def new(self, now: datetime) -> RunId:
        """The next id."""
        with self._lock:
            # 48 bits of milliseconds, then 12 bits that count within one.
            self._last = max(self._last + 1, int(now.timestamp() * 1000) << 12)
            stamp, count = self._last >> 12, self._last & 0xFFF
        value = stamp << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | self._bits(62)
        return RunId(str(uuid.UUID(int=value)))


def _counter(run_id: str) -> int:
    """The milliseconds and the count in this id; 0 for an id that this class did not make."""
    try:
        value = uuid.UUID(run_id)
    except ValueError:
        return 0
    return (value.int >> 80) << 12 | (value.int >> 64 & 0xFFF) if value.version == 7 else 0


def new_nonce() -> str:
    """The name of one try to launch."""
    return secrets.token_hex(4)
