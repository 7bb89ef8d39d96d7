"""Exports the code of runs in two threads, so that the engine never waits for it. Used by the engine.

One thread exports revisions. The other one compares existing exports with their revisions, so that a run whose code is
exported already does not wait for the export of another revision.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from controller.sources.source import Source


class CodeExports:
    """The exports of revisions that runs are about to execute. `on_done` is called from the thread after each one."""

    def __init__(self, source: Source, on_done: Callable[[], None]) -> None:
        self._source = source
        self._on_done = on_done
        self._exports: dict[str, Future[Path]] = {}
        self._roots: dict[str, Path] = {}
        self._exporter = ThreadPoolExecutor(1, thread_name_prefix="exports")
        self._comparer = ThreadPoolExecutor(1, thread_name_prefix="comparisons")

    def find(self, revision: str) -> Path | None:
        """Return the code of a revision; None while the thread exports or compares it. Raises what the source raises.

        The result serves all runs of a turn; a run that has started since may require another comparison.
        """
        future = self._exports.get(revision)
        if future is None:
            if self._source.has_checkout(revision):
                return self._source.checkout(revision)
            thread = self._comparer if revision in self._roots else self._exporter
            future = self._exports[revision] = thread.submit(self._export, revision)
            future.add_done_callback(lambda _: self._on_done())
        return future.result() if future.done() else None

    def prepare(self, revision: str) -> None:
        """Export a revision that will soon be needed. Its first run still compares it, or exports it again."""
        if revision not in self._exports and not self._source.has_checkout(revision):
            self._exporter.submit(self._export, revision)

    @property
    def in_progress(self) -> set[str]:
        """The revisions that runs wait for."""
        return {revision for revision, future in self._exports.items() if not future.done()}

    def done(self) -> list[str]:
        """Return the revisions whose export has ended."""
        return [revision for revision, future in self._exports.items() if future.done()]

    def forget(self, revisions: list[str]) -> None:
        """Compare these revisions again when they are needed next."""
        for revision in revisions:
            del self._exports[revision]

    def close(self) -> None:
        """Wait for the current export, and start no other."""
        for thread in (self._exporter, self._comparer):
            thread.shutdown(cancel_futures=True)

    def _export(self, revision: str) -> Path:
        root = self._source.checkout(revision)
        others = {other: path for other, path in self._roots.items() if path.exists()}
        self._roots = {**others, revision: root}
        return root
