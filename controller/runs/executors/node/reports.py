"""The reports of a runner: new output and events, beats, and at last how the flow ended.

The supervisor appends to the files `log` and `events.jsonl`. The answer to each piece says how much the controller has:
a controller that has nothing gets everything again.
"""

import os
import time
from typing import Any

from controller.runs.executors.local.supervisor.flow_events import FILE as EVENTS_FILE
from controller.runs.executors.node.connection import (
    REQUEST_SECONDS,
    Backoff,
    Connection,
    RefusedError,
    UnansweredError,
    repeat,
)

MAX_PIECE = 1 << 20
OUTPUT_SECONDS = 2.0
FIRST_BEAT_SECONDS = 10.0
ANSWER_SECONDS = 10.0
KEPT_SECONDS = 24 * 3600.0
GIVE_UP_SECONDS = 600.0
_LEAST_BEAT_SECONDS = 1.0
_BEATS_IN_PATIENCE = 4
_OVER = 409
_TOO_LARGE = (413, 422)


class Reports:
    """The reports of one attempt. `path`: its path in the node API. `directory`: where the files are.

    `patience`: after how many seconds without an answer the flow is stopped; None: never. Within that time, several
    beats and repetitions are due, so that a quiet flow keeps running while its controller answers.
    """

    def __init__(self, connection: Connection, path: str, directory: str, patience: "float | None" = None) -> None:
        self._connection = connection
        self._path = path
        self._sent = dict.fromkeys(("log", "events"), 0)
        self._files = {"log": f"{directory}/log", "events": f"{directory}/{EVENTS_FILE}"}
        self._backoff = Backoff()
        self._longest_pause = float("inf") if patience is None else patience / _BEATS_IN_PATIENCE
        self._heard_at = _now()
        self._beat_at = self._heard_at + self._within(FIRST_BEAT_SECONDS)
        self._next_at = self._heard_at
        self.is_over = False
        self.is_cancelled = False

    @property
    def silence(self) -> float:
        """The seconds since a controller last answered."""
        return _now() - self._heard_at

    def send_due(self) -> float:
        """Send what is due; return the seconds until something is due again. Then `is_over` and `is_cancelled` tell."""
        if _now() < self._next_at:
            return self._next_at - _now()
        pause = OUTPUT_SECONDS
        try:
            if _now() >= self._beat_at:
                answer = self._post("beat", {})
                self.is_cancelled = self.is_cancelled or answer.get("cancel") is True
                asked = max(_LEAST_BEAT_SECONDS, float(answer.get("next") or FIRST_BEAT_SECONDS))
                self._beat_at = _now() + self._within(asked)
            self._send_output()
            self._backoff.reset()
        except UnansweredError as error:
            pause = self._backoff.pause(error)
        except RefusedError as error:
            self.is_over = self.is_over or error.status == _OVER
            pause = self._backoff.pause(UnansweredError(str(error)))
        pause = self._within(pause)
        self._next_at = _now() + pause
        return pause

    def _within(self, pause: float) -> float:
        return min(pause, self._longest_pause)

    def send_end(self, ending: dict[str, Any]) -> None:
        """Send the rest of the output, then how the flow ended, until a controller has answered.

        Raises UnansweredError after a day, RefusedError if the attempt is over or no controller knows it.
        """
        deadline = time.monotonic() + KEPT_SECONDS
        unknown_until = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                if not self.is_over:
                    self._repeat_output(deadline)
                repeat(lambda: self._post("end", ending, REQUEST_SECONDS), deadline - time.monotonic())
            except RefusedError as error:
                if error.status == _OVER or time.monotonic() > unknown_until:
                    raise
                time.sleep(self._backoff.pause(UnansweredError(str(error))))
            else:
                return

    def _repeat_output(self, deadline: float) -> None:
        """Send the rest of the output. If the attempt is over, nobody needs it."""
        try:
            repeat(self._send_output, deadline - time.monotonic())
        except RefusedError as error:
            if error.status != _OVER:
                raise
            self.is_over = True

    def _send_output(self) -> None:
        """Send what is new. The rest of a file that the controller finds too large is not sent."""
        for name in list(self._files):
            while data := self._unsent(name):
                try:
                    answer = self._post(f"{name}?offset={self._sent[name]}", data)
                except RefusedError as error:
                    if error.status not in _TOO_LARGE:
                        raise
                    del self._files[name]
                    break
                self._sent[name] = max(0, int(answer["offset"]))

    def _unsent(self, name: str) -> bytes:
        try:
            with open(self._files[name], "rb") as stream:
                if os.fstat(stream.fileno()).st_size <= self._sent[name]:
                    return b""
                stream.seek(self._sent[name])
                return stream.read(MAX_PIECE)
        except FileNotFoundError:
            return b""

    def _post(self, name: str, body: "bytes | dict[str, Any]", seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        answer = self._connection.post(f"{self._path}/{name}", body, seconds=seconds)
        self._heard_at = _now()
        return answer


def _now() -> float:
    """Return a time that also passes while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
