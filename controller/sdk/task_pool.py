"""The submitted tasks of one flow run, and the threads that run them. `flow` creates the pool, `task` submits to it.

A flow ends only when all of its submitted tasks have ended. If one of them failed, and the flow read neither its result
nor its state, the flow fails too.
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
_MAX_REPORTED = 3
"""The number of failed tasks that the flow's error names."""


class TaskPool:
    """The submitted tasks of one flow run."""

    def __init__(self, limit: ConcurrencyLimit | None) -> None:
        self.futures: list[Future[Any]] = []
        self._limit = limit
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._semaphore: asyncio.Semaphore | None = None

    def add(self, future: "Future[Any]") -> None:
        """Add the future of a submitted task."""
        with self._lock:
            self.futures.append(future)

    def submit(self, work: Callable[[], None]) -> None:
        """Call a function in a thread of the pool, once one is free."""
        with self._lock:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                limit = DEFAULT_LIMIT if self._limit is None else self._limit.limit
                self._pool = ThreadPoolExecutor(limit, thread_name_prefix="tasks")
        self._pool.submit(work)

    @property
    def semaphore(self) -> "asyncio.Semaphore | None":
        """The semaphore that limits the async tasks on the flow's event loop; None if there is no limit."""
        if self._limit is not None and self._semaphore is None:
            import asyncio

            self._semaphore = asyncio.Semaphore(self._limit.limit)
        return self._semaphore

    def cancel(self) -> None:
        """Cancel the tasks that no thread has started, and those on an event loop. `check` ignores these."""
        for future in list(self.futures):
            if future.cancel():
                future.is_observed = True

    def finish(self) -> None:
        """Wait for all tasks, including those that are submitted meanwhile, and close the pool."""
        for future in self._each():
            future.wait()
        self.close()

    async def finish_async(self) -> None:
        """Do the same as `finish` without blocking the event loop."""
        for future in self._each():
            await future.wait_async()
        self.close()

    def _each(self) -> "Iterator[Future[Any]]":
        index = 0
        while index < len(self.futures):
            yield self.futures[index]
            index += 1

    def close(self) -> None:
        """Shut down the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def check(self) -> None:
        """Raise TasksFailedError if a task failed and the flow read neither its result nor its state."""
        failed = [future for future in self.futures if future.has_unobserved_failure]
        causes = [future for future in failed if future.state.name != "skipped"] or failed
        if causes:
            errors = [f"{future.run.label}: {_error(future)}" for future in causes[:_MAX_REPORTED]]
            more = f"; and {len(causes) - _MAX_REPORTED} more" if len(causes) > _MAX_REPORTED else ""
            raise TasksFailedError(
                f"{len(failed)} of {len(self.futures)} tasks did not succeed: {'; '.join(errors)}{more}"
            )


def _error(future: "Future[Any]") -> str:
    return summary(future.error) if future.error is not None else future.state.name
