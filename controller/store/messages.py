"""The tables of messages, which are sent after the transaction that wrote them, and of the channels that get them."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, delete, func, select, update

from controller.model.commit_statuses import COMMIT_STATUS, COMMIT_STATUS_CHANNEL
from controller.model.notifications import ChannelState, ChannelStatus, Message, MessageState, SettingsProblem
from controller.store.notification_tables import channels, messages, notifier
from controller.store.rows import from_row, to_row
from controller.store.sql_functions import upsert
from controller.store.store import Transaction

HEARTBEAT = "heartbeat"
"""The state of messages that are heartbeats."""
REJECTED = "Rejected: "
"""The beginning of the error of a message that the receiver does not accept, although it accepts others."""
REJECTIONS = 3
"""A message that was rejected so often no longer delays later ones."""


def add(tx: Transaction, new: Iterable[Message]) -> None:
    """Record messages that must be sent. One with the id of a recorded message is ignored."""
    rows = [to_row(tx, messages, message) for message in new]
    if rows:
        tx.connection.execute(upsert(messages).on_conflict_do_nothing(), rows)


def find_due(tx: Transaction, now: datetime, limit: int) -> list[Message]:
    """Return up to `limit` messages whose next attempt is due, in the order of their due times."""
    is_due = (messages.c.project == tx.project, messages.c.delivery == MessageState.WAITING.value)
    query = select(messages).where(*is_due, messages.c.not_before <= now).order_by(messages.c.not_before).limit(limit)
    return [_message(row) for row in tx.connection.execute(query)]


def next_attempt(tx: Transaction) -> datetime | None:
    """Return when the next attempt is due; None if no message waits."""
    is_waiting = (messages.c.project == tx.project, messages.c.delivery == MessageState.WAITING.value)
    return tx.connection.execute(select(func.min(messages.c.not_before)).where(*is_waiting)).scalar()


def find_first_waiting(tx: Transaction, now: datetime) -> list[Message]:
    """Return the oldest waiting message of each channel, without heartbeats and without those that are set aside."""
    first = select(func.min(messages.c.id)).where(*_in_line(tx, now)).group_by(messages.c.channel)
    query = select(messages).where(messages.c.id.in_(first)).order_by(messages.c.channel)
    return [_message(row) for row in tx.connection.execute(query)]


def find_waiting(tx: Transaction, channel: str, now: datetime, limit: int) -> list[Message]:
    """Return up to `limit` waiting messages of a channel, oldest first, without those that are set aside."""
    in_line = (*_in_line(tx, now), messages.c.channel == channel)
    query = select(messages).where(*in_line).order_by(messages.c.id).limit(limit)
    return [_message(row) for row in tx.connection.execute(query)]


def next_set_aside(tx: Transaction, now: datetime) -> datetime | None:
    """Return when the next of the messages that are set aside is due; None if there are none."""
    query = select(func.min(messages.c.not_before)).where(*_is_waiting(tx), _is_set_aside(now))
    return tx.connection.execute(query).scalar()


def find_due_heartbeats(tx: Transaction, now: datetime, limit: int) -> list[Message]:
    """Return up to `limit` heartbeats whose next attempt is due, at most the oldest one of each deployment."""
    is_due = (_is_first_heartbeat(tx), messages.c.not_before <= now)
    query = select(messages).where(*is_due).order_by(messages.c.not_before, messages.c.id).limit(limit)
    return [_message(row) for row in tx.connection.execute(query)]


def next_heartbeat(tx: Transaction) -> datetime | None:
    """Return when the next attempt to send a heartbeat is due; None if none waits."""
    query = select(func.min(messages.c.not_before)).where(_is_first_heartbeat(tx))
    return tx.connection.execute(query).scalar()


def _is_first_heartbeat(tx: Transaction) -> ColumnElement[bool]:
    """Whether a heartbeat is the oldest of its deployment that waits: an end must not arrive before its start."""
    waiting = (*_is_waiting(tx), messages.c.state == HEARTBEAT)
    return messages.c.id.in_(select(func.min(messages.c.id)).where(*waiting).group_by(messages.c.channel))


def hasten(tx: Transaction, now: datetime, channel: str | None = None) -> None:
    """Make the next attempt of waiting messages due now: of one channel, or of all."""
    is_later = (*_is_waiting(tx), messages.c.state != HEARTBEAT, messages.c.not_before > now)
    of_channel = () if channel is None else (messages.c.channel == channel,)
    tx.connection.execute(update(messages).where(*is_later, *of_channel).values(not_before=now))


def _is_waiting(tx: Transaction) -> tuple[ColumnElement[bool], ...]:
    return messages.c.project == tx.project, messages.c.delivery == MessageState.WAITING.value


def _in_line(tx: Transaction, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (*_is_waiting(tx), messages.c.state != HEARTBEAT, ~_is_set_aside(now))


def _is_set_aside(now: datetime) -> ColumnElement[bool]:
    """Return whether a message was rejected several times: later ones do not wait for its next attempt."""
    was_rejected = func.coalesce(messages.c.error, "").startswith(REJECTED, autoescape=True)
    return (messages.c.attempts >= REJECTIONS) & was_rejected & (messages.c.not_before > now)


def update_delivery(tx: Transaction, message: Message) -> None:
    """Record the outcome of an attempt: `delivery`, `attempts`, `not_before`, `sent_at` and `error`.

    A message that was superseded during the attempt remains so, unless it was sent.
    """
    names = ("delivery", "attempts", "not_before", "sent_at", "error")
    values = {name: getattr(message, name) for name in names}
    is_recorded = messages.c.id == message.id
    if message.delivery is not MessageState.SENT:
        is_recorded &= messages.c.delivery != MessageState.SUPERSEDED.value
    tx.connection.execute(update(messages).where(is_recorded).values(values))


def supersede(tx: Transaction, channel: str) -> datetime | None:
    """Record that the messages that wait for this channel need not be sent, since a newer one replaces them.

    Return when the last of them would have been attempted; None without one.
    """
    waiting = (*_is_waiting(tx), messages.c.channel == channel)
    query = select(func.max(messages.c.not_before)).where(*waiting)
    attempt_at: datetime | None = tx.connection.execute(query).scalar()
    if attempt_at is not None:
        tx.connection.execute(update(messages).where(*waiting).values(delivery=MessageState.SUPERSEDED.value))
    return attempt_at


def latest(
    tx: Transaction,
    limit: int,
    *,
    before: str | None = None,
    deployment: str | None = None,
    channel: str | None = None,
    deliveries: Collection[MessageState] = (),
    with_heartbeats: bool = False,
) -> list[Message]:
    """Return the newest messages, newest first, only those with ids below `before` if given.

    `deliveries`: only messages in one of these states; empty for all.
    """
    conditions = [messages.c.project == tx.project]
    if before is not None:
        conditions.append(messages.c.id < before)
    if deployment is not None:
        conditions.append(messages.c.deployment == deployment)
    if channel is not None:
        conditions.append(messages.c.channel == channel)
    if deliveries:
        conditions.append(messages.c.delivery.in_([delivery.value for delivery in deliveries]))
    if not with_heartbeats:
        conditions.append(messages.c.state != HEARTBEAT)
    rows = tx.connection.execute(select(messages).where(*conditions).order_by(messages.c.id.desc()).limit(limit))
    return [_message(row) for row in rows]


def find(tx: Transaction, message_id: str) -> Message | None:
    """Return one message, or None."""
    is_named = (messages.c.project == tx.project, messages.c.id == message_id)
    row = tx.connection.execute(select(messages).where(*is_named)).first()
    return None if row is None else _message(row)


def find_newest_commit_status(tx: Transaction) -> Message | None:
    """Return the newest commit status; None without one. Tests of the channel are not such messages."""
    row = tx.connection.execute(select(messages).where(messages.c.id == _newest_commit_status(tx))).first()
    return None if row is None else _message(row)


def newest_id(tx: Transaction) -> str | None:
    """Return the greatest id of the messages of all projects; None before the first message."""
    message_id: str | None = tx.connection.execute(select(func.max(messages.c.id))).scalar()
    return message_id


def count_by_delivery(tx: Transaction) -> dict[MessageState, int]:
    """Return the number of recorded messages in each state, including zeros."""
    query = select(messages.c.delivery, func.count()).where(messages.c.project == tx.project)
    counts = {MessageState(row[0]): row[1] for row in tx.connection.execute(query.group_by(messages.c.delivery))}
    return dict.fromkeys(MessageState, 0) | counts


def count_undelivered(tx: Transaction, since: datetime) -> dict[tuple[str, MessageState], int]:
    """Return the number of messages that wait, and of those written after `since` that are undeliverable.

    They are counted by channel and state. Heartbeats and tests are not counted.
    """
    is_waiting = messages.c.delivery == MessageState.WAITING.value
    is_lost = (messages.c.delivery == MessageState.UNDELIVERABLE.value) & (messages.c.created_at > since)
    columns = (messages.c.channel, messages.c.delivery)
    query = select(*columns, func.count()).where(
        messages.c.project == tx.project,
        messages.c.delivery.in_([MessageState.WAITING.value, MessageState.UNDELIVERABLE.value]),
        is_waiting | is_lost,
        messages.c.state.not_in(["heartbeat", "test"]),
    )
    rows = tx.connection.execute(query.group_by(*columns))
    return {(row[0], MessageState(row[1])): row[2] for row in rows}


def oldest_failed(tx: Transaction) -> datetime | None:
    """Return when the oldest waiting message was written whose last attempt failed; None without one."""
    has_failed = (messages.c.state != HEARTBEAT, messages.c.error.is_not(None))
    return tx.connection.execute(select(func.min(messages.c.created_at)).where(*_is_waiting(tx), *has_failed)).scalar()


def delete_old(tx: Transaction, *, before: datetime, limit: int, state: str | None = None) -> int:
    """Delete up to `limit` messages that were written before `before` and no longer wait. Return how many.

    `state`: only messages with this state. The newest commit status is kept: it is compared with the next one.
    """
    old = _old(tx, before, state).order_by(messages.c.id).limit(limit)
    return int(tx.connection.execute(delete(messages).where(messages.c.id.in_(old))).rowcount)


def has_old(tx: Transaction, *, before: datetime, state: str | None = None) -> bool:
    """Return whether `delete_old` deletes something."""
    return tx.connection.execute(_old(tx, before, state).limit(1)).first() is not None


def _old(tx: Transaction, before: datetime, state: str | None) -> Select[tuple[str]]:
    newest = func.coalesce(_newest_commit_status(tx), "")
    return select(messages.c.id).where(
        messages.c.project == tx.project,
        messages.c.delivery != MessageState.WAITING.value,
        messages.c.id != newest,
        messages.c.created_at < before,
        *(() if state is None else (messages.c.state == state,)),
    )


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


def find_settings_problem(tx: Transaction) -> SettingsProblem | None:
    """Return why the current version of `notify.yaml` is not used; None if it is used, or if the file is missing."""
    row = tx.connection.execute(select(notifier).where(notifier.c.project == tx.project)).first()
    if row is None or row.settings_problem is None:
        return None
    return SettingsProblem(message=row.settings_problem, hint=row.settings_hint, since=row.settings_problem_since)


def save_settings_problem(tx: Transaction, problem: SettingsProblem | None) -> None:
    """Record why `notify.yaml` is not used, or that nothing is wrong with it."""
    values = {
        "settings_problem": None if problem is None else problem.message,
        "settings_hint": None if problem is None else problem.hint,
        "settings_problem_since": None if problem is None else problem.since,
    }
    statement = upsert(notifier).values(project=tx.project, **values)
    tx.connection.execute(statement.on_conflict_do_update(index_elements=["project"], set_=values))


def _newest_commit_status(tx: Transaction) -> ScalarSelect[Any]:
    of_channel = (messages.c.project == tx.project, messages.c.channel == COMMIT_STATUS_CHANNEL)
    # The index begins with the project, the delivery and the channel.
    in_any_state = messages.c.delivery.in_([delivery.value for delivery in MessageState])
    query = select(func.max(messages.c.id)).where(*of_channel, in_any_state, messages.c.state == COMMIT_STATUS)
    return query.scalar_subquery()


def _message(row: Row[Any]) -> Message:
    return from_row(Message, row, delivery=MessageState(row.delivery))
