"""Notifications as all user interfaces show them: messages, channels and incidents."""

from collections.abc import Collection
from dataclasses import dataclass

from controller.model import extend
from controller.model.notifications import ChannelStatus, Incident, IncidentMember, Message, MessageState
from controller.store import Transaction, incidents, messages

UNDELIVERED = (MessageState.WAITING, MessageState.UNDELIVERABLE)
_MEMBERS_SHOWN = 20


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
    deliveries: Collection[MessageState] = (),
) -> list[Message]:
    """Return the newest messages that match, without heartbeats, with ids below `before`; newest first."""
    return messages.latest(tx, limit, before=before, deployment=deployment, deliveries=deliveries)


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
