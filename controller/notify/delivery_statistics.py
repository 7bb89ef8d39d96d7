"""Statistics of the attempts to deliver messages since the start of the process, for `/metrics`.

`controller.notify.delivery` fills them.
"""

import threading


class DeliveryStatistics:
    """How many attempts delivered their message, and how many failed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = 0
        self.failed = 0

    def record(self, *, is_sent: bool) -> None:
        """Count one attempt."""
        with self._lock:
            self.sent += is_sent
            self.failed += not is_sent
