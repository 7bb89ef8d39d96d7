"""Runs one flow, from its start until all processes that it started have ended. Used by the supervisor.

The flow ends with its main process. Processes that it leaves behind are killed and counted. A process that keeps the
output open after that does not delay the end.
"""

from __future__ import annotations

import os
import select
import signal
import time

from controller.runs.executors.local.supervisor import process_tree, spawn
from controller.runs.executors.local.supervisor.cgroup import ControlGroup
from controller.runs.executors.local.supervisor.flow_events import UNREPORTED, FlowEvents
from controller.runs.executors.local.supervisor.log_capture import CHUNK, LogCapture
from controller.runs.executors.local.supervisor.poll import ready
from controller.runs.executors.local.supervisor.resource_limits import Limits
from controller.runs.executors.local.supervisor.wake_signals import WakeSignal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DRAIN_SECONDS = 2.0
KILL_SECONDS = 5.0
LOG_BYTES = 64 << 20


class FlowRunner:
    """The processes of one flow. Call `start`, then `wait`, then `close`."""

    def __init__(self, spec: dict[str, Any], wake: WakeSignal, limits: Limits, group: ControlGroup | None) -> None:
        self._spec = spec
        self._wake = wake
        self._limits = limits
        self._group = group
        self._deadline = None if spec["timeout"] is None else time.monotonic() + spec["timeout"]
        self._capture = LogCapture(spec.get("log_bytes") or LOG_BYTES)
        self._stopped_for: str | None = None
        self._reports = FlowEvents()
        self._left_behind = 0
        self._main = -1
        self._output = self._events = -1

    def start(self, env: dict[str, str], *, is_fork: bool) -> int:
        """Start the main process and return its id; 0 in that process itself if it is a fork. Raises OSError."""
        self._output, output = os.pipe2(os.O_CLOEXEC)
        self._events, events = os.pipe2(os.O_CLOEXEC)
        user = self._spec.get("user")
        if user is not None:
            os.fchown(output, user["uid"], user["gid"])  # otherwise the flow could not open `/dev/stderr`
        pipes = spawn.Pipes(output=output, events=events)
        try:
            self._main = spawn.start(self._spec, env, pipes, self._limits, self._group, is_fork=is_fork)
        finally:
            if self._main != 0:
                os.close(output)
                os.close(events)
        if self._main:
            os.set_blocking(self._events, False)
            os.set_blocking(self._output, False)
        return self._main

    def wait(self) -> dict[str, Any]:
        """Wait for the main process; stop it on timeout or on SIGTERM. Returns the fields of `exit`."""
        handle = os.pidfd_open(self._main)
        poll = select.poll()
        for descriptor in (handle, self._output, self._events, self._wake.descriptor):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._milliseconds_left())}
            if self._wake.descriptor in ready:
                self._wake.clear()
                process_tree.reap(except_pid=self._main)
            for descriptor in ready & {self._output, self._events}:
                if not self._read_from(descriptor):
                    poll.unregister(descriptor)
            if handle in ready:
                break
            if self._wake.is_stop_requested and self._stopped_for is None:
                self._stop("cancelled")
            elif self._deadline is not None and time.monotonic() >= self._deadline:
                self._stop("timed_out")
        return self._finish()

    def close(self) -> dict[str, Any]:
        """Release all resources. Returns additional fields of `exit`; only those that are not empty or zero."""
        facts = {
            "left_behind": self._left_behind,
            "dropped_bytes": self._capture.close(),
            "log_bytes": _size("log"),  # after `close`, which may have added the tail
            "dropped_reports": self._reports.dropped,
            "unenforced": self._limits.find_unenforced(
                self._group, (self._spec.get("user") or {"uid": os.getuid()})["uid"]
            ),
        }
        if self._group is not None:
            self._group.remove()
        return {name: fact for name, fact in facts.items() if fact}

    def _milliseconds_left(self) -> int | None:
        return None if self._deadline is None else max(0, int((self._deadline - time.monotonic()) * 1000) + 1)

    def _stop(self, outcome: str) -> None:
        """Send SIGTERM to everything that the flow has started; on the second call, after the grace, send SIGKILL."""
        first = self._stopped_for is None
        self._stopped_for = self._stopped_for or outcome
        if not first and self._group is not None:
            self._group.kill()
        process_tree.signal_all(signal.SIGTERM if first else signal.SIGKILL)
        self._deadline = time.monotonic() + (self._spec["grace"] if first else DRAIN_SECONDS)

    def _read_from(self, descriptor: int) -> bool:
        """Read what the flow printed or reported; return False at end of file."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        if descriptor == self._output:
            self._capture.write(data)
        else:
            self._reports.feed(data)
        return bool(data)

    def _finish(self) -> dict[str, Any]:
        _, raw, usage = os.wait4(self._main, 0)
        status = os.waitstatus_to_exitcode(raw)
        killed = process_tree.end_all(self._wake.descriptor, KILL_SECONDS, self._group)
        # After a stop everything is killed anyway, so this is not worth reporting.
        self._left_behind = 0 if self._stopped_for else killed
        self._drain()
        self._reports.close()
        is_silent = (
            status == 0 and "path" in self._spec["call"] and not self._reports.own.keys() & {"result", "skipped"}
        )
        ending: dict[str, Any] = {
            "outcome": self._stopped_for or ("failed" if is_silent else self._outcome(status)),
            "exit_code": status if status >= 0 else None,
            "signal": -status if status < 0 else None,
            **self._reports.own,
        }
        if ending["outcome"] == "failed":
            seconds = usage.ru_utime + usage.ru_stime
            reason = self._limits.explain_failure(status, seconds, ending.get("error"), self._group)
            if is_silent and not ending.get("error"):
                reason = UNREPORTED
            if reason is not None:
                ending["reason"] = reason
        return ending

    def _outcome(self, status: int) -> str:
        """Return the outcome for an exit status; a command is skipped if it exits with its `skip_exit_code`."""
        if status == self._spec.get("skip_exit_code") or (status == 0 and "skipped" in self._reports.own):
            return "skipped"
        return "succeeded" if status == 0 else "failed"

    def _drain(self) -> None:
        """Read the rest of the pipes, for at most `DRAIN_SECONDS` if a process keeps them open."""
        deadline = time.monotonic() + DRAIN_SECONDS
        is_open = {self._output, self._events}
        while is_open and (remaining := deadline - time.monotonic()) > 0:
            is_open -= {descriptor for descriptor in ready(is_open, remaining) if not self._read_from(descriptor)}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
