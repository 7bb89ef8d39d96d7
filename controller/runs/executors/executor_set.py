"""The executors of a controller, by their names. `app` creates the set; the engine and the monitor use it."""

from collections.abc import Sequence

from controller.runs.executors.executor import Executor


class ExecutorSet:
    """At least one executor. `default` is the name of the one for deployments that name none."""

    def __init__(self, executors: Sequence[Executor], default: str | None = None) -> None:
        self._executors = {executor.name: executor for executor in executors}
        self.default = default or executors[0].name

    def find(self, name: str | None) -> Executor | None:
        """Return the executor with this name, or the default; None if the controller has no such executor."""
        return self._executors.get(name or self.default)

    def open(self) -> None:
        """Prepare all for launches."""
        for executor in self._executors.values():
            executor.open()

    def close(self) -> None:
        """Close what launches use. A later launch opens it again."""
        for executor in self._executors.values():
            executor.close()

    def maintain(self) -> None:
        """Let all do their periodic work."""
        for executor in self._executors.values():
            executor.maintain()

    def capacity(self) -> int:
        """Return how many attempts can be launched now, by whichever executor. Raises ResourceError."""
        return min(executor.capacity() for executor in self._executors.values())
