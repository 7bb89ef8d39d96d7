"""A state with deployments that watch folders, and a file watcher whose turns and clock a test controls."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.build import build_deployment
from controller.model.runs import Run
from controller.model.status import Event, Hold, InventoryEntry, PassRecord
from controller.model.triggers import WatchProblem
from controller.runs.admission import Admission
from controller.runs.ids import RunIds
from controller.store import Store, events, holds, inventory, passes, seen_files
from controller.store.run_search import RunFilter, select_all
from controller.triggers.file_runs import FileRuns
from controller.triggers.file_watcher import FileWatcher
from controller.triggers.seen_file_cleanup import CYCLE_SECONDS
from controller.triggers.watch_roots import WatchRoots
from tests.conftest import NOW, ManualClock


class TurningClock(ManualClock):
    """A clock whose monotonic time passes only with the manual one."""

    def monotonic(self) -> float:
        return self.elapsed()


@dataclass(slots=True)
class World:
    """The state of a controller, and its file watcher, which has no thread."""

    store: Store
    folder: Path
    clock: TurningClock = field(default_factory=TurningClock)
    wakes: int = 0
    watcher: FileWatcher = field(init=False)

    def __post_init__(self) -> None:
        self.inbox.mkdir(parents=True)
        self.start()

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    def start(self, roots: list[Path] | None = None) -> None:
        """Start a new controller with this state, as after a crash or a restart."""
        deployments = ActiveDeployments()
        admission = Admission(self.clock, RunIds(), deployments)
        self.watcher = FileWatcher(
            store=self.store,
            clock=self.clock,
            deployments=deployments,
            runs=FileRuns(self.store, self.clock, admission, self.wake),
            roots=WatchRoots([self.folder] if roots is None else roots, self.folder / "state"),
        )

    def wake(self) -> None:
        self.wakes += 1

    def declare(self, *texts: str) -> None:
        """Apply these documents, with everything that a pass records."""
        for text in texts:
            document = yaml.safe_load(text.replace("INBOX", str(self.inbox)))
            if True in document:
                document["on"] = document.pop(True)  # YAML 1.1
            deployment = build_deployment(document, "deployments/a.yaml", 1)
            entry = InventoryEntry(
                name=deployment.name,
                file="deployments/a.yaml",
                line=1,
                document=document,
                spec_digest=deployment.spec_digest,
                revision="main@sha1:1",
                cursor=NOW,
            )
            with self.store.write() as tx:
                inventory.save(tx, [entry])
        self.record_pass()

    def record_pass(self) -> None:
        record = PassRecord(
            started_at=self.clock.now(), revision=None, reason="Applied", message="", counts={}, stages={}
        )
        with self.store.write() as tx:
            passes.append(tx, record)
        self.watcher._note_commit()

    def hold(self, name: str = "load") -> None:
        with self.store.write() as tx:
            holds.save(tx, Hold(deployment=name, reason="no", author="me", since=NOW))
        self.watcher._note_commit()

    def resume(self, name: str = "load") -> None:
        with self.store.write() as tx:
            holds.remove(tx, name)
        self.watcher._note_commit()

    def write(self, name: str, content: str = "1", age: float = 0.0) -> Path:
        """Write a file that was last modified `age` seconds ago."""
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content, encoding="utf-8")
        moment = self.clock.now().timestamp() - age
        os.utime(path, (moment, moment))
        return path

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a turn of the watcher whenever it is due."""
        end = self.clock.monotonic() + seconds
        self.watcher.turn()
        while (due := self.clock.monotonic() + self.watcher.pause()) <= end:
            self.clock.turn(timedelta(seconds=max(0.001, due - self.clock.monotonic())))
            self.watcher.turn()
        self.clock.turn(timedelta(seconds=end - self.clock.monotonic()))

    def clean_up(self) -> None:
        """Let an hour pass, after which all recorded files are looked up."""
        self.clock.turn(timedelta(seconds=CYCLE_SECONDS))
        self.pass_time(1)

    def runs(self, name: str = "load") -> list[Run]:
        """Return the runs of a deployment, oldest first."""
        with self.store.read() as tx:
            return sorted(select_all(tx, RunFilter(deployment=name)), key=lambda run: run.id)

    def files(self, name: str = "load") -> list[str]:
        """Return the paths that runs of a deployment got, relative to the inbox, oldest run first."""
        return [os.path.relpath(run.parameters["path"], self.inbox) for run in self.runs(name)]

    def events(self) -> list[Event]:
        with self.store.read() as tx:
            return events.latest(tx, 100)[::-1]

    def problems(self) -> list[WatchProblem]:
        with self.store.read() as tx:
            return seen_files.find_problems(tx)

    def reasons(self) -> list[str]:
        return [problem.reason for problem in self.problems()]


LOAD = "name: load\ncommand: [cat]\non: [{files: {path: INBOX, pattern: '*.csv', parameter: path}}]\n"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[World]:
    world = World(store, tmp_path / "srv")
    yield world
    world.watcher._watcher.close()
