"""What belongs to one run of a flow: its threads, and what it has submitted. `flow` opens it, `task` submits to it.

A flow does not end before what it has submitted; and if something of that failed and nobody ever looked, neither has
the flow gone well.
"""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from controller.sdk.flow_options import ConcurrencyLimit
from controller.sdk.run_states import TasksFailedError, summary

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from controller.sdk.futures import Future

DEFAULT_LIMIT = 32
_SHOWN = 3


class TaskPool:
    """The submitted tasks of one flow run."""

    def __init__(self, limit: ConcurrencyLimit | None) -> None:
        self.futures: list[Future[Any]] = []
        self._limit = limit
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._places: asyncio.Semaphore | None = None

    def add(self, future: "Future[Any]") -> None:
        """This one belongs to it."""
        with self._lock:
            self.futures.append(future)

    def put(self, work: Callable[[], None]) -> None:
        """Have a thread do this."""
        with self._lock:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                limit = DEFAULT_LIMIT if self._limit is None else self._limit.limit
                self._pool = ThreadPoolExecutor(limit, thread_name_prefix="tasks")
        self._pool.submit(work)

    @property
    def places(self) -> "asyncio.Semaphore | None":
        """What an async task has to take before it runs on the flow's own loop; None without a limit."""
        if self._limit is not None and self._places is None:
            import asyncio

            self._places = asyncio.Semaphore(self._limit.limit)
        return self._places

    def cancel(self) -> None:
        """What was not begun never will be."""
        for future in list(self.futures):
            future.cancel()

    def finish(self) -> None:
        """Wait for everything, also for what is submitted meanwhile; give the threads back."""
        for future in self._each():
            future.wait()
        self.close()

    async def finish_on_loop(self) -> None:
        """The same without keeping the loop from working."""
        for future in self._each():
            await future.ended()
        self.close()

    def _each(self) -> "Iterator[Future[Any]]":
        index = 0
        while index < len(self.futures):
            yield self.futures[index]
            index += 1

    def close(self) -> None:
        """Give the threads back."""
        if self._pool is not None:
            self._pool.shutdown()

    def check(self) -> None:
        """Raises TasksFailedError if something failed and nobody looked."""
        failed = [future for future in self.futures if future.has_failed_unseen]
        causes = [future for future in failed if future.state.name != "skipped"] or failed
        if causes:
            errors = [f"{future.run.label}: {_error(future)}" for future in causes[:_SHOWN]]
            more = f"; and {len(causes) - _SHOWN} more" if len(causes) > _SHOWN else ""
            raise TasksFailedError(
                f"{len(failed)} of {len(self.futures)} tasks did not succeed: {'; '.join(errors)}{more}"
            )


def _error(future: "Future[Any]") -> str:
    return summary(future.error) if future.error is not None else future.state.name
