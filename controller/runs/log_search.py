"""Searches the whole output of a run. Called by `controller.api.http.routes.run_logs`.

Text and levels are searched here, in time that is proportional to the length of the log. A regular expression can take
exponential time, and Python cannot interrupt it, so it is searched by a process of its own (`log_scan`).
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from controller.clock import Clock
from controller.errors import ConflictError, ResourceError, UsageError, shortage
from controller.records import dataclass
from controller.runs import log_scan
from controller.runs.log_lines import LogLine, RunLog
from controller.runs.log_scan import Finder, Hits, OutOfTimeError, Section

SECONDS = 5
MAX_MEMORY_BYTES = 256 << 20
MAX_PROCESSES = 2
"""Number of regular expressions that are searched at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSearch:
    """The lines that match: how many (`count`), the numbers of the first 100,000 of them, and the first of them."""

    count: int
    numbers: list[int]
    lines: list[LogLine]
    total_lines: int


class LogSearcher:
    """Searches logs, with a limited number of processes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._processes = threading.BoundedSemaphore(MAX_PROCESSES)

    def search_text(self, log: RunLog, text: str, *, ignore_case: bool, attempt: int | None, limit: int) -> LogSearch:
        """Find the lines that contain a text. Raises UsageError if it takes too long."""
        return self._scan(log, log_scan.find_text(text, ignore_case=ignore_case), attempt, limit)

    def search_levels(self, log: RunLog, levels: Sequence[str], *, attempt: int | None, limit: int) -> LogSearch:
        """Find the lines with these levels, and with `ERROR` those of tracebacks."""
        return self._scan(log, log_scan.find_levels(levels), attempt, limit)

    def search_expression(
        self, log: RunLog, expression: str, *, ignore_case: bool, attempt: int | None, limit: int
    ) -> LogSearch:
        """Find the lines in which a regular expression of Python's `re` matches.

        Raises UsageError for an invalid expression or one that takes too long, ConflictError if too many searches are
        in progress.
        """
        if not self._processes.acquire(timeout=SECONDS):
            raise ConflictError("Too many searches are in progress.", hint="Try again in a few seconds.")
        try:
            hits = _run_scan(log.sections(attempt), expression, ignore_case=ignore_case)
        finally:
            self._processes.release()
        return _with_lines(log, hits, limit)

    def _scan(self, log: RunLog, finder: Finder, attempt: int | None, limit: int) -> LogSearch:
        try:
            hits = log_scan.scan(log.sections(attempt), finder, self._deadline())
        except OutOfTimeError:
            hint = "Search one attempt, or download the log."
            raise UsageError(f"The search took longer than {SECONDS} seconds.", hint=hint) from None
        return _with_lines(log, hits, limit)

    def _deadline(self) -> Callable[[], bool]:
        end = self._clock.monotonic() + SECONDS
        return lambda: self._clock.monotonic() < end


def _with_lines(log: RunLog, hits: Hits, limit: int) -> LogSearch:
    lines = log.select(hits.numbers[:limit]).lines
    return LogSearch(count=hits.count, numbers=hits.numbers, lines=lines, total_lines=log.total_lines)


def _run_scan(sections: list[Section], expression: str, *, ignore_case: bool) -> Hits:
    command = [sys.executable, "-I", "-S", log_scan.__file__, str(SECONDS), str(MAX_MEMORY_BYTES)]
    request = json.dumps({"expression": expression, "ignore_case": ignore_case, "sections": sections})
    try:
        process = subprocess.run(
            command, input=request, capture_output=True, encoding="utf-8", timeout=2 * SECONDS, env={}, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        message = f"The search for {expression!r} needs more than {SECONDS} seconds or too much memory."
        hint = "Write a simpler expression, without nested repetitions such as (a+)+."
        raise UsageError(message, hint=hint) from None
    except OSError as error:
        raise ResourceError(shortage(error) or f"the search cannot be started: {error.strerror}") from error
    result = json.loads(process.stdout)
    if "error" in result:
        raise UsageError(f"{expression!r} is not a regular expression: {result['error']}.")
    return Hits(**result)
