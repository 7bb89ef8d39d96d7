"""Receives the JSON lines that a flow reports on its descriptor. Used by `flow_process`, in the supervisor.

`{"result": …}`, `{"error": …}` and `{"skipped": …}` are kept for `exit`. Lines about task runs, artifacts and the run's
name (`{"task": …}`, `{"artifact": …}`, `{"run": …}`) are appended unchanged to `events.jsonl`, so that they are on disk
even if no controller is running; their readers must not trust them. Data beyond the limits is dropped and counted:
reports neither block a flow nor make it fail.
"""

from __future__ import annotations

import json
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNREPORTED = "the process exited with code 0 before the flow returned"
"""The reason if no outcome was reported, for example because the flow called `os._exit(0)`."""
OUTCOMES = frozenset({"result", "error", "skipped"})
"""The keys that report how the flow ended."""
FILE = "events.jsonl"
MAX_FILE_BYTES = 16 << 20
MAX_LINE_BYTES = 4096
MAX_OWN_BYTES = 1 << 17
MAX_DEPTH = 64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')  # compiled before the fork
_STORED = (b'{"task": ', b'{"artifact": ', b'{"run": ')


class FlowEvents:
    """Call `feed` with the bytes as they arrive, then `close`. `own` holds what it reported of its end."""

    def __init__(self) -> None:
        self.own: dict[str, Any] = {}
        self.dropped = 0
        self._rest = b""
        self._is_too_long = False
        self._file = -1
        self._remaining = MAX_FILE_BYTES

    def feed(self, data: bytes) -> None:
        """Process some bytes; an incomplete last line is kept for the next call."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        stored: list[bytes] = []
        for line in lines:
            if self._is_too_long:
                self._is_too_long = False
                self.dropped += 1
            elif line.startswith(_STORED):
                stored.append(line)
            else:
                self._parse_outcome(line)
        if stored:
            self._append(stored)
        if len(self._rest) > MAX_OWN_BYTES:
            self._rest, self._is_too_long = b"", True

    def close(self) -> None:
        """Process the last line, which may lack a newline, and close the file."""
        if self._rest and not self._is_too_long:
            self.feed(b"\n")
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _parse_outcome(self, line: bytes) -> None:
        """Keep how the flow ended; ignore invalid lines."""
        if depth(line) > MAX_DEPTH:
            return  # reading `exit` would exceed the recursion limit
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict) and event.keys() <= OUTCOMES:
            self.own.update(event)

    def _append(self, lines: list[bytes]) -> None:
        fitting = [line for line in lines if len(line) <= MAX_LINE_BYTES]
        data = b"".join(line + b"\n" for line in fitting)
        self.dropped += len(lines) - len(fitting)
        if len(data) > self._remaining:
            self.dropped += len(fitting)
            return
        try:
            if self._file < 0:
                self._file = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.write(self._file, data)
        except OSError:  # the disk is full; readers skip an incomplete line
            self.dropped += len(fitting)
            return
        self._remaining -= len(data)


def depth(line: bytes) -> int:
    """Return the maximum nesting depth of this JSON."""
    level = deepest = 0
    for char in _STRING.sub(b"", line):
        level += (char in b"[{") - (char in b"]}")
        deepest = max(deepest, level)
    return deepest
