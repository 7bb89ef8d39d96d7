"""Delivers the recorded messages: sends what is due, records the outcome, and decides when to try again.

The notifier calls `deliver_due` after each evaluation, when `next_time` is reached, and when a delivery has finished.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from controller.clock import Clock
from controller.model.notifications import Message
from controller.notify.channels import ChannelRegistry
from controller.store.store import Store


class Delivery:
    """The delivery of messages. Child processes send them, so that a server that does not respond delays nothing.

    `new_id` returns a new UUIDv7. `ca`: a file with further certificate authorities. `wake`: called when a delivery has
    finished, so that the notifier calls `deliver_due` again.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        registry: ChannelRegistry,
        *,
        new_id: Callable[[datetime], str],
        ca: Path | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._new_id = new_id
        self._ca = ca
        self._wake = wake

    def deliver_due(self, now: datetime) -> None:
        """Start to deliver the messages that are due. Returns at once. Raises StateError."""
        raise NotImplementedError

    def next_time(self) -> datetime | None:
        """Return when a message that is not being sent will be due; None if there is none."""
        raise NotImplementedError

    def send_test(self, channel: str) -> Message:
        """Send a test message to a channel, and return it with its outcome. Takes at most a minute.

        Raises NotFoundError if there is no such channel, StateError.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Stop within a second. A message that is being sent may be sent again by the next controller."""
        raise NotImplementedError
