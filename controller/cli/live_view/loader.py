"""Sends the requests of the live view in a thread of its own, one after the other, so that drawing never waits.

A second thread follows the events of the controller and reports every change.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from controller.cli.live_view.local_client import LocalClient
from controller.client import Client, NoAnswerError, NotReachedError, ProblemError

Job = Callable[[Client], Any]
Answer = Callable[[Any], None]
RECONNECT_SECONDS = 1.0


class Loader(Protocol):
    """Runs jobs with a client. `done` is called with the result, in the thread of the view."""

    def submit(self, key: str, job: Job, done: Answer) -> None:
        """Run a job. It replaces a job with the same key that has not begun."""


class Listener(Protocol):
    """The receiver of reports. The loader calls it in the thread of the view."""

    def on_change(self) -> None:
        """Handle a change of the controller's state, and the first connection."""

    def on_lost(self, problem: str) -> None:
        """Handle that the controller cannot be reached."""

    def on_problem(self, message: str) -> None:
        """Handle that the controller rejected a request."""


class ThreadedLoader:
    """The loader of the application. `call` runs a function in the thread of the view."""

    def __init__(self, state: Path, listener: Listener, call: Callable[[Callable[[], None]], None]) -> None:
        self._client = LocalClient.of_state(state)
        self._listener = listener
        self._call = call
        self._jobs: dict[str, tuple[Job, Answer]] = {}
        self._changed = threading.Condition()
        self._is_closed = threading.Event()

    def start(self) -> None:
        """Start both threads. They end with the process."""
        threading.Thread(target=self._work, name="requests", daemon=True).start()
        threading.Thread(target=self._follow, name="events", daemon=True).start()

    def close(self) -> None:
        """Start no more jobs."""
        self._is_closed.set()
        with self._changed:
            self._changed.notify()

    def submit(self, key: str, job: Job, done: Answer) -> None:
        """Run a job. It replaces a job with the same key that has not begun."""
        with self._changed:
            self._jobs[key] = (job, done)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_closed.is_set())
                if self._is_closed.is_set():
                    return
                job, done = self._jobs.pop(next(iter(self._jobs)))
            self._run(job, done)

    def _run(self, job: Job, done: Answer) -> None:
        try:
            result = job(self._client)
        except ProblemError as problem:
            hint = f" {problem.hint}" if problem.hint else ""
            self._call(partial(self._listener.on_problem, f"{problem.detail}{hint}"))
        except NoAnswerError as error:
            self._call(partial(self._listener.on_lost, _describe(error)))
        else:
            self._call(partial(done, result))

    def _follow(self) -> None:
        """Report changes; connect again after the controller has ended."""
        while not self._is_closed.is_set():
            try:
                for _ in self._client.follow_events():
                    if self._is_closed.is_set():
                        return
                    self._call(self._listener.on_change)
            except ProblemError as problem:
                self._call(partial(self._listener.on_problem, problem.detail))
            except NoAnswerError as error:
                self._call(partial(self._listener.on_lost, _describe(error)))
            self._is_closed.wait(RECONNECT_SECONDS)


def _describe(error: NoAnswerError) -> str:
    return "no controller is running" if isinstance(error, NotReachedError) else "the controller does not respond"
