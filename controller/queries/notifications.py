"""Notifications as all user interfaces show them: messages, channels and incidents."""

from collections.abc import Collection
from datetime import datetime, timedelta

from controller.model import extend
from controller.model.notifications import (
    ChannelState,
    ChannelStatus,
    Incident,
    IncidentMember,
    Message,
    MessageState,
    SettingsProblem,
)
from controller.records import dataclass
from controller.store import Transaction, incidents, messages

UNDELIVERED = (MessageState.WAITING, MessageState.UNDELIVERABLE)
_MEMBERS_SHOWN = 20
_LOST_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationStatus:
    """Whether messages reach the operator.

    - `channels`: the channels of the operator. `problem`: why the current `notify.yaml` is not used, if it is not.
    - `waiting`: the number of messages that wait for delivery. `undeliverable`: the number of messages of the last
      7 days that could not be delivered.
    """

    channels: tuple[ChannelStatus, ...] = ()
    waiting: int = 0
    undeliverable: int = 0
    problem: SettingsProblem | None = None

    @property
    def unusable(self) -> tuple[ChannelStatus, ...]:
        """The channels that messages do not reach."""
        return tuple(channel for channel in self.channels if channel.state is not ChannelState.READY)


def read_notification_status(tx: Transaction, now: datetime) -> NotificationStatus:
    """Read whether messages reach the operator."""
    counts = messages.count_undelivered(tx, now - _LOST_FOR)
    return NotificationStatus(
        channels=tuple(messages.find_channels(tx)),
        waiting=sum(count for (_, state), count in counts.items() if state is MessageState.WAITING),
        undeliverable=sum(count for (_, state), count in counts.items() if state is MessageState.UNDELIVERABLE),
        problem=messages.find_settings_problem(tx),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView(Incident):
    """One cause of trouble. Incidents with the same `key` are the same cause; at most one of them is open.

    - `cause`: the text that its members share. `members`: the first 20 deployments that it affects, or `source` or
      `controller`; those that have not recovered come first. `member_count` counts all.
    - `channels`: those that a message about it was written to.
    """

    members: tuple[IncidentMember, ...]
    member_count: int
    channels: tuple[str, ...]


def list_messages(
    tx: Transaction,
    limit: int,
    *,
    before: str | None = None,
    deployment: str | None = None,
    channel: str | None = None,
    deliveries: Collection[MessageState] = (),
) -> list[Message]:
    """Return the newest messages that match, without heartbeats, with ids below `before`; newest first."""
    return messages.latest(tx, limit, before=before, deployment=deployment, channel=channel, deliveries=deliveries)


def list_channels(tx: Transaction) -> list[ChannelStatus]:
    """Return the channels that the operator declares, by name."""
    return messages.find_channels(tx)


def list_incidents(
    tx: Transaction, limit: int, *, before: int | None = None, is_open: bool = False
) -> list[IncidentView]:
    """Return the newest incidents, or the newest open ones, with ids below `before`; newest first."""
    rows = incidents.page(tx, limit, before=before, is_open=is_open)
    ids = [row.id for row in rows]
    counts = incidents.count_members(tx, ids)
    channels: dict[int, list[str]] = {number: [] for number in ids}
    for announcement in incidents.find_announcements(tx, ids):
        if announcement.updated_at is not None:
            channels[announcement.incident_id].append(announcement.channel)
    return [
        extend(
            IncidentView,
            row,
            members=tuple(incidents.find_first_members(tx, row.id, _MEMBERS_SHOWN)),
            member_count=counts[row.id],
            channels=tuple(channels[row.id]),
        )
        for row in rows
    ]
