"""A reconciler with a real directory, a real store, a manual clock, and a record of what it projected."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.schedules import Agenda
from controller.model.status import Event, InventoryEntry, SourceStatus
from controller.reconcile.apply import Settle
from controller.reconcile.reconciler import PassResult, Reconciler
from controller.runs.admission import Admission
from controller.runs.ids import RunIds
from controller.sources.directory.source import DirectorySource
from controller.sources.source import Source
from controller.store import Store, Transaction, events, inventory
from tests.conftest import ManualClock

NOBODY = SourceStatus(repo="/r", ref=None, revision=None, last_attempted_revision=None, last_applied_revision=None)


@dataclass(slots=True)
class World:
    """A followed directory. `projected` has the agendas in the timetable, `settled` the arguments of each call."""

    root: Path
    store: Store
    clock: ManualClock
    projected: dict[str, Agenda] = field(default_factory=dict)
    settled: list[tuple[tuple[str, ...], bool]] = field(default_factory=list)
    environment: str | None = None
    project_name: str | None = None
    is_atomic: bool = False
    deployments: ActiveDeployments = field(init=False)
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        (self.root / "deployments").mkdir(parents=True, exist_ok=True)
        self.restart()

    def restart(self, *, source: Source | None = None, settle: Settle | None = None) -> None:
        """Create a new reconciler, as after a restart of the controller; `settle` is called in its transactions."""
        self.deployments = ActiveDeployments()
        self.reconciler = Reconciler(
            source=source or DirectorySource(self.root, path="deployments"),
            store=self.store,
            clock=self.clock,
            initial=replace(NOBODY, environment=self.environment, project_name=self.project_name),
            deployments=self.deployments,
            settle=settle or self._settle,
            project=self._project,
            is_atomic=self.is_atomic,
        )

    def _settle(self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> object:
        settled = tuple(names)
        if settled:
            self.settled.append((settled, pruned))
        return Admission(self.clock, RunIds(), self.deployments).settle_before_change(tx, settled, now, pruned=pruned)

    def _project(self, agendas: Mapping[str, Agenda], removed: Iterable[str] | None) -> Iterable[str]:
        old = {} if removed is None else {name: item for name, item in self.projected.items() if name not in removed}
        self.projected = {**old, **agendas}
        return ()

    def put(self, **files: str | None) -> PassResult:
        """Write `deployments/<name>.yaml`, or remove it with None; then make a pass."""
        for name, content in files.items():
            path = self.root / "deployments" / f"{name}.yaml"
            if content is None:
                path.unlink()
            else:
                path.write_text(content, encoding="utf-8")
        return self.reconciler.run_pass()

    def entries(self) -> dict[str, InventoryEntry]:
        with self.store.read() as tx:
            return inventory.entries(tx)

    def events(self) -> list[Event]:
        """Return all events, oldest first."""
        with self.store.read() as tx:
            return events.latest(tx, 10_000)[::-1]

    def reported(self) -> list[tuple[str, str]]:
        return [(event.about, event.reason) for event in self.events()]


@pytest.fixture
def world(tmp_path: Path, store: Store, clock: ManualClock) -> World:
    return World(tmp_path / "followed", store, clock)


def hourly(name: str, **fields: str) -> str:
    """Return a valid document with an hourly schedule."""
    extra = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"name: {name}\ncommand: ['true']\nschedules: [{{cron: '0 * * * *'}}]\n{extra}"


Passes = Callable[..., PassResult]
