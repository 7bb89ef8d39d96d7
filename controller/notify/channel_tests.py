"""Makes the messages with which an operator tests a channel. `delivery` sends them."""

from collections.abc import Callable
from datetime import datetime

from controller.errors import NotFoundError
from controller.model.notifications import Message, NotifySettings
from controller.notify.attempts import TEST
from controller.store.store import Transaction
from controller.text import did_you_mean

FindCommitStatus = Callable[[Transaction, str, datetime], Message]
"""Returns the status of the current commit as a message in the given state. Raises NotFoundError."""


def no_commit_status(_tx: Transaction, _state: str, _now: datetime) -> Message:
    """Raise NotFoundError, because no pass has processed a commit yet."""
    hint = "Wait for the first pass over a git repository, and try again."
    raise NotFoundError("No commit has a status to send yet.", hint=hint)


def check_channel(name: str, settings: NotifySettings) -> None:
    """Raise NotFoundError if the operator declares no channel of this name."""
    if name in settings.receivers:
        return
    names = ", ".join(settings.receivers)
    declared = f"Declared channels: {names}." if names else "notify.yaml declares no channel."
    hint = did_you_mean(name, settings.receivers) or declared
    raise NotFoundError(f"There is no channel {name!r}.", hint=hint)


def make_test_message(channel: str, message_id: str, now: datetime) -> Message:
    """Return a test message for a channel that receives notifications."""
    return Message(
        id=message_id,
        channel=channel,
        state=TEST,
        title="Test message of controller",
        body="This channel works. Messages about failures will look like this one.",
        reason="A user requested a test.",
        created_at=now,
        not_before=now,
    )
