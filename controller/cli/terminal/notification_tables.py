"""Renders messages and channels of notifications for the terminal."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import SHORT_ID, CompactTable
from controller.model.notifications import ChannelStatus, Message, MessageState

_NO_MESSAGES = "No messages yet. `controller notify test CHANNEL` sends one."
_NO_MATCH = "No messages match. `controller notify log` without filters lists the newest messages."
_NO_CHANNELS = "No channels. Declare them in notify.yaml: see docs/notifications.md."


def message_table(messages: Sequence[Message], *, is_filtered: bool, is_wide: bool) -> CompactTable:
    """Return a table with one row per message, with times in the machine's zone."""
    rows = [
        (
            text_format.plain(message.id),
            text_format.local(message.created_at),
            text_format.plain(message.channel),
            text_format.state(message.state),
            _delivery(message),
            text_format.first_line(message.title),
            text_format.first_line(message.error or "-"),
            *(_more_cells(message) if is_wide else ()),
        )
        for message in messages
    ]
    titles: tuple[str, ...] = ("ID", "CREATED", "CHANNEL", "STATE", "DELIVERY", "TITLE", "ERROR")
    if is_wide:
        titles += ("SENT", "ATTEMPTS", "DEPLOYMENT", "RUN", "REASON")
    empty = _NO_MATCH if is_filtered else _NO_MESSAGES
    return CompactTable(titles, rows, flexible=(5, 6), empty=empty, ids={0: SHORT_ID}, is_wide=is_wide)


def channel_table(channels: Sequence[ChannelStatus], now: datetime, *, is_wide: bool) -> CompactTable:
    """Return a table with one row per channel."""
    rows = [
        (
            text_format.plain(channel.name),
            text_format.plain(channel.kind),
            text_format.state(channel.state),
            text_format.past(channel.sent_at, now),
            text_format.first_line(channel.message or "-"),
            *((text_format.past(channel.since, now),) if is_wide else ()),
        )
        for channel in channels
    ]
    titles = ("NAME", "KIND", "STATE", "LAST DELIVERY", "MESSAGE", *(("SINCE",) if is_wide else ()))
    return CompactTable(titles, rows, flexible=(4,), empty=_NO_CHANNELS, is_wide=is_wide)


def _delivery(message: Message) -> Text:
    if message.delivery is MessageState.WAITING and message.attempts:
        return Text(f"waiting ({message.attempts} failed)", style="yellow")
    return text_format.state(message.delivery)


def _more_cells(message: Message) -> tuple[Text, ...]:
    return (
        text_format.local(message.sent_at),
        text_format.plain(message.attempts),
        text_format.plain(message.deployment or "-"),
        text_format.plain(message.run_id or "-"),
        text_format.first_line(message.reason or "-"),
    )
