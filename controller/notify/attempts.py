"""Records the outcome of an attempt to deliver messages: their state, their next attempt, and the channel's state.

`delivery` calls it. A message is attempted again after 10 seconds, then after twice as long each time, up to 15
minutes. After a day of attempts it is undeliverable.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from controller.model.notifications import Channel, ChannelState, Message, MessageState
from controller.notify.channels import ChannelRegistry
from controller.notify.sender_process import Outcome, OutcomeStatus
from controller.notify.sending_times import sending_time
from controller.records import dataclass
from controller.store import messages
from controller.store.store import Transaction

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(days=1)
LEAST_ATTEMPTS = 10
"""A message gets at least this many attempts, even if the controller was stopped for more than a day."""
LONGEST_RETRY_AFTER = timedelta(hours=6)
HEARTBEAT_EXPIRES_AFTER = timedelta(minutes=10)
"""How long to try to deliver a heartbeat. The monitor outside has alerted by then."""
RECHECK_AFTER = timedelta(minutes=15)
"""When a channel that can't be used is tried again if nothing changes in `notify.yaml`."""
TEST = "test"
"""The state of test messages, which are attempted once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to send messages of one channel as one message, or one heartbeat, which ended at `at`."""

    batch: tuple[Message, ...]
    outcome: Outcome
    at: datetime


def record_attempt(tx: Transaction, registry: ChannelRegistry, attempt: Attempt) -> list[Message]:
    """Record the outcome. Return the messages after the attempt."""
    name, outcome = attempt.batch[0].channel, attempt.outcome
    channel = registry.settings.receivers.get(name)
    after = [after_attempt(message, channel, outcome, attempt.at) for message in attempt.batch]
    for message in after:
        messages.update_delivery(tx, message)
    if attempt.batch[0].state == messages.HEARTBEAT:
        return after
    if outcome.status is OutcomeStatus.SENT:
        registry.record(tx, name, ChannelState.READY, sent_at=attempt.at)
    else:
        is_misconfigured = outcome.status is OutcomeStatus.MISCONFIGURED
        state = ChannelState.MISCONFIGURED if is_misconfigured else ChannelState.FAILING
        registry.record(tx, name, state, after[0].error or "")
    lost = [message for message in after if message.delivery is MessageState.UNDELIVERABLE and message.state != TEST]
    if lost:
        tx.after_commit(lambda: _log_undeliverable(lost))
    return after


def after_attempt(message: Message, channel: Channel | None, outcome: Outcome, at: datetime) -> Message:
    """Return the message after an attempt. `channel` is None for a heartbeat."""
    if outcome.status is OutcomeStatus.SENT:
        return replace(
            message, delivery=MessageState.SENT, attempts=message.attempts + 1, sent_at=at, error=None, not_before=at
        )
    error = as_sentence(outcome)
    pause = None if outcome.retry_after is None else timedelta(seconds=outcome.retry_after)
    if outcome.status is OutcomeStatus.MISCONFIGURED and message.state not in (TEST, messages.HEARTBEAT):
        return replace(message, error=error, not_before=at + (pause or RECHECK_AFTER))
    failed = replace(message, error=error, attempts=message.attempts + 1)
    if outcome.status is OutcomeStatus.GONE or message.state == TEST or _is_expired(failed, channel, at):
        return replace(failed, delivery=MessageState.UNDELIVERABLE)
    demanded = min(pause or timedelta(0), LONGEST_RETRY_AFTER)
    return replace(failed, not_before=at + max(pause_after(failed.attempts), demanded))


def pause_after(attempts: int) -> timedelta:
    """Return the pause after this many failed attempts."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(attempts - 1, 20)))


def _is_expired(message: Message, channel: Channel | None, now: datetime) -> bool:
    if message.state == messages.HEARTBEAT:
        return now >= message.created_at + HEARTBEAT_EXPIRES_AFTER
    # Quiet hours and digests delay the first attempt; the day begins with it.
    start = message.created_at
    start = start if channel is None else sending_time(channel, start, start)
    return message.attempts >= LEAST_ATTEMPTS and now >= start + GIVE_UP_AFTER


def as_sentence(outcome: Outcome) -> str:
    """Return why an attempt failed, as a sentence."""
    text = outcome.error or "the attempt failed"
    text = f"{text[:1].upper()}{text[1:]}"
    text = text if text.endswith(".") else f"{text}."
    return f"{messages.REJECTED}{text}" if outcome.status is OutcomeStatus.REJECTED else text


def _log_undeliverable(lost: list[Message]) -> None:
    for message in lost:
        extra = {"channel": message.channel, "id": message.id, "deployment": message.deployment, "error": message.error}
        log.error("A message can't be delivered", extra=extra)
