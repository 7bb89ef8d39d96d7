"""Applies a function to many items in several processes, for `controller validate` of a large repository.

The processes are forks of this one: they have the modules and the items already, and send only their results.
"""

import gc
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_PROCESSES = 8
_LEAST_ITEMS = 150
"""With fewer files, a process takes longer to start and to send its results than it saves."""


class _Worker(NamedTuple):
    """A forked process, and the pipe from which its pickled results are read."""

    pid: int
    pipe: int


def count_processes(files: int) -> int:
    """Return in how many processes to validate this number of files, this process included."""
    return max(1, min(len(os.sched_getaffinity(0)), MAX_PROCESSES, files // _LEAST_ITEMS))


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], processes: int) -> list[Result]:
    """Return the results for all items, in their order. Call it while this process has only one thread.

    `function` must not change anything, and its results must be picklable. If it raises in another process, or that
    process is killed, this process handles the items again, and may raise. No process outlives this one for longer
    than one item takes.
    """
    if not items:
        return []
    # The other processes then have the modules that the first item loads.
    results: list[Any] = [function(items[0]), *[None] * (len(items) - 1)]
    shares = [items[index + 1 :: processes] for index in range(processes)]
    workers: list[_Worker] = []
    try:
        with suppress(OSError):  # there can't be as many processes
            for share in shares[1:]:
                _start_worker(function, share, workers)
        for index, share in enumerate(shares):
            received = _receive(workers[index - 1]) if 0 < index <= len(workers) else None
            results[index + 1 :: processes] = map(function, share) if received is None else received
    finally:
        for worker in workers:
            _end(worker)
    return results


def _start_worker(function: Callable[[Item], Result], share: Sequence[Item], workers: list[_Worker]) -> None:
    """Fork a process for a share, and add it to the workers. Raises OSError."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = -1
    # A worker that is interrupted must not continue as if it were this process, nor this one without knowing it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        pid = os.fork()
        if pid == 0:
            _work(function, share, parent, writer)
        workers.append(_Worker(pid, reader))
    finally:
        os.close(writer)
        if pid == -1:
            os.close(reader)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def _work(function: Callable[[Item], Result], share: Sequence[Item], parent: int, writer: int) -> NoReturn:
    """Send the results of a share and exit. Prints nothing, whatever happens."""
    try:
        gc.freeze()
        gc.disable()  # a collection would copy the pages that this process shares with its parent
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        results = []
        for item in share:
            if os.getppid() != parent:
                break
            results.append(function(item))
        else:
            with open(writer, "wb") as stream:
                pickle.dump(results, stream, pickle.HIGHEST_PROTOCOL)
    finally:
        os._exit(0)


def _receive(worker: _Worker) -> Any:
    """Return the results of a worker; None if it has failed."""
    with suppress(EOFError, pickle.UnpicklingError), open(worker.pipe, "rb", closefd=False) as stream:
        return pickle.load(stream)
    return None


def _end(worker: _Worker) -> None:
    os.close(worker.pipe)
    os.kill(worker.pid, signal.SIGKILL)  # it is not reaped yet, so the number is still its own
    os.waitpid(worker.pid, 0)
