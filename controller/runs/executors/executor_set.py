"""The executors of a controller, by their names. `app` creates the set; the engine and the monitor use it."""

from collections.abc import Callable, Sequence

from controller.model.runs import Attempt, Run, RunState
from controller.runs.executors.executor import Executor, Readiness
from controller.runs.ids import new_nonce
from controller.settings import boot_id


class ExecutorSet:
    """At least one executor. `default` is the name of the one for deployments that name none."""

    def __init__(self, executors: Sequence[Executor], default: str | None = None) -> None:
        self._executors = {executor.name: executor for executor in executors}
        self.default = default or executors[0].name
        self._boot_id = boot_id()

    def find(self, name: str | None) -> Executor | None:
        """Return the executor with this name, or the default; None if the controller has no such executor."""
        return self._executors.get(name or self.default)

    def get(self, name: str) -> Executor:
        """Return the executor with this name, which the controller has."""
        return self._executors[name]

    def launch_pause(self, attempt: Attempt) -> float:
        """Return the seconds between the first failed launch of the run of this attempt and the next one."""
        executor = self.find(attempt.executor)
        return 0.0 if executor is None else executor.launch_pause

    def new_attempt(self, run: Run, executor: str | None = None) -> Attempt:
        """Return an attempt of this run, to be launched by the executor with this name, or by the default one."""
        return Attempt(
            run_id=run.id,
            number=run.attempt or 1,
            nonce=new_nonce(),
            boot_id=self._boot_id,
            state=RunState.LAUNCHING,
            executor=executor or self.default,
        )

    @property
    def place(self) -> str | None:
        """The host and directory of new local attempts, if hosts share the state."""
        return next((executor.place for executor in self._executors.values() if executor.place is not None), None)

    @property
    def readiness(self) -> dict[str, Readiness]:
        """Whether each executor can start flows, by its name."""
        return {name: executor.readiness for name, executor in self._executors.items()}

    def open(self, on_change: Callable[[], None]) -> None:
        """Prepare all for launches. `on_change` is called, from any thread, when `readiness` has changed."""
        for executor in self._executors.values():
            executor.open(on_change)

    def close(self) -> None:
        """Close what launches use. A later launch opens it again."""
        for executor in self._executors.values():
            executor.close()

    def maintain(self) -> None:
        """Let all do their periodic work."""
        for executor in self._executors.values():
            executor.maintain()
