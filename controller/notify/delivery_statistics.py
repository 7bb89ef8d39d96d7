"""Statistics of the attempts to deliver messages since the start of the process, for `/metrics`."""


class DeliveryStatistics:
    """How many attempts delivered their message, and how many failed."""

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0

    def record(self, *, is_sent: bool) -> None:
        """Count one attempt."""
        self.sent += is_sent
        self.failed += not is_sent
