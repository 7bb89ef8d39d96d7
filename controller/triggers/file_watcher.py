"""The thread that watches the folders of file triggers, and creates runs for the files that arrive.

`controller.app.triggers` creates it. A folder is scanned every few seconds, and sooner if watchdog reports a change in
it, so a lost report or a restart loses no file. While a deployment is suspended or held, its files wait.
"""

import logging
import threading
from pathlib import Path

from controller.backoff import Backoff
from controller.clock import Clock
from controller.errors import ControllerError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.triggers import FileTrigger
from controller.notify.declared import DeclaredDeployments
from controller.sources.source import WatchedPath
from controller.sources.watch import Watcher
from controller.store import Store, holds
from controller.triggers.file_runs import FileRuns
from controller.triggers.folder_watch import POLL_SECONDS, FolderWatch
from controller.triggers.seen_file_cleanup import SeenFileCleanup
from controller.triggers.watch_report import WatchReport
from controller.triggers.watch_roots import WatchRoots

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""The shortest time between two checks for changed deployments."""
STOP_SECONDS = 1.0
"""How long a stop waits for the current scan. It writes in transactions, so it leaves nothing half-written."""


class FileWatcher:
    """Watches the folders of all deployments with a file trigger, and creates runs with `runs`."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        deployments: ActiveDeployments,
        runs: FileRuns,
        roots: WatchRoots,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._roots = roots
        self._declared = DeclaredDeployments(deployments, "on")
        self._watches: dict[tuple[str, str, FileTrigger], FolderWatch] = {}
        self._by_place: dict[str, list[FolderWatch]] = {}
        self._report = WatchReport(store, clock)
        self._cleanup = SeenFileCleanup(store, clock)
        self._failures = Backoff(clock, first=1.0, longest=60.0)
        self._changed_paths: set[str] = set()
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        self._has_commit = True
        self._next_refresh = 0.0
        self._next_places = 0.0
        self._watcher = Watcher(self._wakeup.set, clock, on_path=self._changed_paths.add)
        # A daemon thread, so that the process can exit while a network file system does not answer.
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait at most `STOP_SECONDS` for the current scan."""
        self._stopping.set()
        self._wakeup.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        with self._store.on_commit(self._note_commit):
            while not self._stopping.is_set():
                self._wakeup.wait(self._take_turn())
                self._wakeup.clear()
        self._watcher.close()

    def _note_commit(self) -> None:
        """Record that deployments or holds may have changed. Called by every thread that writes."""
        if not self._has_commit:
            self._has_commit = True
            self._wakeup.set()

    def _take_turn(self) -> float:
        """Do what is due, and return the seconds until something else is."""
        try:
            self.turn()
        except Exception as error:
            self._has_commit = True
            if self._failures.fail(str(error)) and not self._stopping.is_set():
                is_bug = not isinstance(error, ControllerError | OSError)
                extra = {"error": str(error), "retry_seconds": self._failures.seconds}
                log.error("Files can't be watched; retrying", exc_info=error if is_bug else None, extra=extra)
            self._stopping.wait(self._failures.seconds)
            return 0.0
        if self._failures.succeed():
            log.info("Files are watched again")
        return self.pause()

    def turn(self) -> None:
        """Take over changed deployments, and scan the folders that are due. Raises StateError."""
        self._refresh()
        self._hasten_scans()
        for watch in list(self._watches.values()):
            if watch.next_scan <= self._clock.monotonic() and not self._stopping.is_set():
                self._scan(watch)
        self._report.save(self._watches.values())
        self._cleanup.step()

    def pause(self) -> float:
        """Return the seconds until the next turn if nothing happens before."""
        times = [self._cleanup.next_time, *(watch.next_scan for watch in self._watches.values())]
        times += [self._next_refresh] if self._has_commit else []
        return max(0.0, min(times) - self._clock.monotonic())

    def _refresh(self) -> None:
        """Watch the folders of the deployments that are active now, not suspended and not held."""
        now = self._clock.monotonic()
        if self._has_commit and now >= self._next_refresh:
            self._has_commit = False
            self._next_refresh = now + REFRESH_SECONDS
            with self._store.read() as tx:
                self._declared.refresh(tx)
                held = {name for name, hold in holds.find_all(tx).items() if not hold.is_over(self._clock.now())}
            self._watches = {
                key: self._watches.get(key) or self._new_watch(key)
                for name, deployment in self._declared.deployments.items()
                if name not in held and not deployment.suspend
                for key in ((name, deployment.spec_digest, trigger) for trigger in deployment.files)
            }
            self._next_places = now
        if now >= self._next_places:
            self._next_places = now + POLL_SECONDS
            self._watch_places()

    def _new_watch(self, key: tuple[str, str, FileTrigger]) -> FolderWatch:
        name, _, trigger = key
        deployment = self._declared.deployments[name]
        return FolderWatch(
            deployment, trigger, store=self._store, clock=self._clock, runs=self._runs, roots=self._roots
        )

    def _watch_places(self) -> None:
        """Let watchdog watch the folders that exist. Without it, they are still scanned."""
        self._by_place = {}
        is_recursive: dict[Path, bool] = {}
        for watch in self._watches.values():
            place = watch.find_place()
            if place is not None:
                self._by_place.setdefault(str(place), []).append(watch)
                is_recursive[place] = is_recursive.get(place, False) or watch.is_recursive
        before = self._watcher.problem
        self._watcher.watch(
            [WatchedPath(path=path, recursive=recursive) for path, recursive in sorted(is_recursive.items())]
        )
        if self._watcher.problem not in (None, before):
            log.warning("Folders are only polled", extra={"error": self._watcher.problem})

    def _hasten_scans(self) -> None:
        while self._changed_paths:
            path = self._changed_paths.pop()
            for place in (path, *map(str, Path(path).parents)):
                for watch in self._by_place.get(place, ()):
                    watch.hasten()

    def _scan(self, watch: FolderWatch) -> None:
        """Scan one folder, so that a fault in it does not affect others. Raises StateError."""
        try:
            watch.scan()
        except ControllerError:
            raise
        except Exception as error:
            watch.problem = ("FolderUnreadable", f"The folder {watch.trigger.path} can't be read: {error}.")
            watch.next_scan = self._clock.monotonic() + POLL_SECONDS
            log.exception("A folder can't be scanned", extra={"deployment": watch.deployment.name})
