"""Threads for calls that may take long: packing code, and questions to a cluster."""

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

log = logging.getLogger(__name__)


class Workers:
    """Runs calls in up to `count` daemon threads, so that a call that hangs does not delay the end of the process."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call the function in a thread, after the calls that were submitted before."""
        self._calls.put(partial(function, *arguments))
        while len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the machine has too many threads; the next call tries again
                log.warning("A thread of an executor can't be started", extra={"error": str(error)})
                return
            self._threads.append(thread)

    def close(self) -> None:
        """Let the threads end after the calls that were submitted. A later call starts new ones."""
        for _ in self._threads:
            self._calls.put(None)
        self._threads = []

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception:
                log.exception("A call in a thread of an executor failed")
