"""Adds the last lines of the log of a failed run to a message, for channels that want them. Called by `delivery`.

The log is read when the message is sent, so it is never stored in the database.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.model.notifications import RUN_TROUBLES, Channel, Message
from controller.text import shorten, visible

ReadLog = Callable[[str, int], Sequence[str]]
"""Takes the id of a run and a number, and returns at most that number of the last lines of its log."""
MAX_LINE = 500
MAX_CHARACTERS = 8000


def with_log(message: Message, channel: Channel, read_log: ReadLog) -> Message:
    """Return the message with the last lines of its run's log, if the channel wants them and there are any."""
    if not channel.log_lines or message.run_id is None or message.state not in RUN_TROUBLES:
        return message
    lines = [shorten(visible(line), MAX_LINE) for line in read_log(message.run_id, channel.log_lines)]
    while lines and sum(map(len, lines)) > MAX_CHARACTERS:
        del lines[0]
    if not lines:
        return message
    body = "\n".join([message.body, "", "Last lines of the log:", *lines])
    payload = {**message.payload, "log": lines}
    if "body" in payload:
        payload["body"] = body
    return replace(message, body=body, payload=payload)
