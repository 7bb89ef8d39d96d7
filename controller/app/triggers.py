"""What starts runs besides schedules, as one component of the controller: creates the parts of `triggers`.

`controller.app.controller` creates, starts and stops it.
"""

from collections.abc import Callable

from controller.clock import Clock
from controller.manifests.active_deployments import ActiveDeployments
from controller.runs.admission import Admission
from controller.store import Store
from controller.store.state_directory import StateDirectory
from controller.trigger_settings import TriggerSettings
from controller.triggers.file_runs import FileRuns
from controller.triggers.file_watcher import FileWatcher
from controller.triggers.watch_roots import WatchRoots


class Triggers:
    """Starts runs for new files, in a thread of its own. Calls `wake` when it has created runs."""

    def __init__(
        self,
        settings: TriggerSettings,
        state: StateDirectory,
        store: Store,
        clock: Clock,
        deployments: ActiveDeployments,
        admission: Admission,
        wake: Callable[[], None],
    ) -> None:
        self._store = store.with_own_readers(1)
        self._files = FileWatcher(
            store=self._store,
            clock=clock,
            deployments=deployments,
            runs=FileRuns(self._store, clock, admission, wake),
            roots=WatchRoots(settings.watch_roots, state.path),
        )

    def start(self) -> None:
        """Start the thread."""
        self._files.start()

    def close(self) -> None:
        """Stop within about a second. Files that have not started runs are found by the next controller."""
        self._files.stop()
        self._store.close_readers()
