"""What a flow says of itself on its descriptor, in lines of JSON. Used by `flow_runner`, in the supervisor.

`{"result": …}` and `{"error": …}` are kept for `exit`. Lines about task runs, artifacts and the run's name are appended
to `events.jsonl` (`{"task": …}`, `{"artifact": …}`, `{"run": …}`) as they are, to be on disk whether or not a
controller is there; whoever reads them believes nothing. What is too much is dropped and counted: a flow is neither
blocked nor failed by what it says.
"""

import json
import os
import re
from typing import Any

UNREPORTED = "its process ended with exit code 0, but the flow has not returned"
"""What is to be said where neither `result` nor `error` came: somebody has called `os._exit(0)`."""
FILE = "events.jsonl"
MAX_FILE_BYTES = 16 << 20
MAX_LINE_BYTES = 4096
MAX_OWN_BYTES = 1 << 17
MAX_DEPTH = 64
_KEPT = (b'{"task": ', b'{"artifact": ', b'{"run": ')


class FlowEvents:
    """Takes bytes as they come; `close` when no more do."""

    def __init__(self) -> None:
        self.own: dict[str, Any] = {}
        self.dropped = 0
        self._rest = b""
        self._is_too_long = False
        self._file = -1
        self._left = MAX_FILE_BYTES

    def take(self, data: bytes) -> None:
        """Take some bytes; what is not a whole line yet waits for the rest."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        kept: list[bytes] = []
        for line in lines:
            if self._is_too_long:
                self._is_too_long = False
                self.dropped += 1
            elif line.startswith(_KEPT):
                kept.append(line)
            else:
                self._take_own(line)
        if kept:
            self._append(kept)
        if len(self._rest) > MAX_OWN_BYTES:
            self._rest, self._is_too_long = b"", True

    def close(self) -> None:
        """The end: a last line may lack its newline."""
        if self._rest and not self._is_too_long:
            self.take(b"\n")
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take_own(self, line: bytes) -> None:
        """Its `result` or `error`. Nonsense is left out."""
        if depth(line) > MAX_DEPTH:
            return  # whoever reads `exit` would run out of stack
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict) and event.keys() <= {"result", "error"}:
            self.own.update(event)

    def _append(self, lines: list[bytes]) -> None:
        fitting = [line for line in lines if len(line) <= MAX_LINE_BYTES]
        data = b"".join(line + b"\n" for line in fitting)
        self.dropped += len(lines) - len(fitting)
        if len(data) > self._left:
            self.dropped += len(fitting)
            return
        try:
            if self._file < 0:
                self._file = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.write(self._file, data)
        except OSError:  # a full disk; a line in part is one that can't be read
            self.dropped += len(fitting)
            return
        self._left -= len(data)


def depth(line: bytes) -> int:
    """How many brackets of this JSON are open at once, at most."""
    level = deepest = 0
    for char in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line):
        level += (char in b"[{") - (char in b"]}")
        deepest = max(deepest, level)
    return deepest
