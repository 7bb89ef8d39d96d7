"""The tables of messages, which are sent after the transaction that wrote them, and of the channels that get them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from controller.model.notifications import ChannelState, ChannelStatus, Message, MessageState
from controller.store.rows import from_row, to_row
from controller.store.schema import channels, messages
from controller.store.store import Transaction


def add(tx: Transaction, new: Iterable[Message]) -> None:
    """Record messages that must be sent. One with the id of a recorded message is ignored."""
    rows = [to_row(tx, messages, message) for message in new]
    if rows:
        tx.connection.execute(insert(messages).prefix_with("OR IGNORE", dialect="sqlite"), rows)


def find_due(tx: Transaction, now: datetime, limit: int) -> list[Message]:
    """Return up to `limit` messages whose next attempt is due, in the order of their due times."""
    is_due = (messages.c.project == tx.project, messages.c.delivery == MessageState.WAITING.value)
    query = select(messages).where(*is_due, messages.c.not_before <= now).order_by(messages.c.not_before).limit(limit)
    return [_message(row) for row in tx.connection.execute(query)]


def next_attempt(tx: Transaction) -> datetime | None:
    """Return when the next attempt is due; None if no message waits."""
    is_waiting = (messages.c.project == tx.project, messages.c.delivery == MessageState.WAITING.value)
    return tx.connection.execute(select(func.min(messages.c.not_before)).where(*is_waiting)).scalar()


def update_delivery(tx: Transaction, message: Message) -> None:
    """Record the outcome of an attempt: `delivery`, `attempts`, `not_before`, `sent_at` and `error`."""
    names = ("delivery", "attempts", "not_before", "sent_at", "error")
    values = {name: getattr(message, name) for name in names}
    tx.connection.execute(update(messages).where(messages.c.id == message.id).values(values))


def latest(
    tx: Transaction,
    limit: int,
    *,
    before: str | None = None,
    deployment: str | None = None,
    delivery: MessageState | None = None,
    with_heartbeats: bool = False,
) -> list[Message]:
    """Return the newest messages, newest first, only those with ids below `before` if given."""
    conditions = [messages.c.project == tx.project]
    if before is not None:
        conditions.append(messages.c.id < before)
    if deployment is not None:
        conditions.append(messages.c.deployment == deployment)
    if delivery is not None:
        conditions.append(messages.c.delivery == delivery.value)
    if not with_heartbeats:
        conditions.append(messages.c.state != "heartbeat")
    rows = tx.connection.execute(select(messages).where(*conditions).order_by(messages.c.id.desc()).limit(limit))
    return [_message(row) for row in rows]


def find(tx: Transaction, message_id: str) -> Message | None:
    """Return one message, or None."""
    is_named = (messages.c.project == tx.project, messages.c.id == message_id)
    row = tx.connection.execute(select(messages).where(*is_named)).first()
    return None if row is None else _message(row)


def count_by_delivery(tx: Transaction) -> dict[MessageState, int]:
    """Return the number of recorded messages in each state, including zeros."""
    query = select(messages.c.delivery, func.count()).where(messages.c.project == tx.project)
    counts = {MessageState(row[0]): row[1] for row in tx.connection.execute(query.group_by(messages.c.delivery))}
    return dict.fromkeys(MessageState, 0) | counts


def oldest_waiting(tx: Transaction, now: datetime) -> datetime | None:
    """Return when the oldest message was written that could have been sent by now and was not; None without one.

    Messages that quiet hours or a digest delay do not count, nor do heartbeats, which expire soon.
    """
    is_waiting = (messages.c.project == tx.project, messages.c.delivery == MessageState.WAITING.value)
    is_due = (messages.c.not_before <= now) | (messages.c.attempts > 0)
    query = select(func.min(messages.c.created_at)).where(*is_waiting, is_due, messages.c.state != "heartbeat")
    return tx.connection.execute(query).scalar()


def delete_old(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` messages that were written before `before` and no longer wait. Return how many."""
    old = (
        select(messages.c.id)
        .where(messages.c.project == tx.project, messages.c.delivery != MessageState.WAITING.value)
        .where(messages.c.created_at < before)
        .order_by(messages.c.id)
        .limit(limit)
    )
    return int(tx.connection.execute(delete(messages).where(messages.c.id.in_(old))).rowcount)


def find_channels(tx: Transaction) -> list[ChannelStatus]:
    """Return the channels of the operator with their status, by name."""
    rows = tx.connection.execute(select(channels).where(channels.c.project == tx.project).order_by(channels.c.name))
    return [from_row(ChannelStatus, row, state=ChannelState(row.state)) for row in rows]


def save_channel(tx: Transaction, status: ChannelStatus) -> None:
    """Save the status of a channel."""
    row = to_row(tx, channels, status)
    statement = upsert(channels).values(row)
    changed = {name: value for name, value in row.items() if name not in ("project", "name")}
    tx.connection.execute(statement.on_conflict_do_update(index_elements=["project", "name"], set_=changed))


def keep_channels(tx: Transaction, names: Iterable[str]) -> None:
    """Delete the status of channels that are no longer declared."""
    tx.connection.execute(delete(channels).where(channels.c.project == tx.project, channels.c.name.not_in(list(names))))


def _message(row: Row[Any]) -> Message:
    return from_row(Message, row, delivery=MessageState(row.delivery))
