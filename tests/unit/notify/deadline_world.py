"""A followed directory with an admission, whose runs start and end when a test says so, and a monitor of deadlines."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.findings import Severity
from controller.model.notifications import DeadlineRecord, MissedDeadline
from controller.model.runs import ACTIVE, Attempt, Run, RunOutcome, RunState
from controller.model.status import Event, Hold, SourceStatus
from controller.notify.deadlines import DeadlineChange, DeadlineMonitor
from controller.reconcile.reconciler import Reconciler
from controller.runs import outcomes
from controller.runs.admission import Admission
from controller.runs.ids import RunIds
from controller.sources.directory.source import DirectorySource
from controller.store import Store, deadlines, events, holds, inventory, run_transitions, runs
from controller.store.run_search import RunFilter, select_all
from tests.conftest import ManualClock

NOBODY = SourceStatus(repo="/r", ref=None, revision=None, last_attempted_revision=None, last_applied_revision=None)


@dataclass(slots=True)
class DeadlineWorld:
    """One followed directory, its state and the clock."""

    root: Path
    store: Store
    clock: ManualClock
    ids: RunIds = field(default_factory=RunIds)
    deployments: ActiveDeployments = field(default_factory=ActiveDeployments)
    reconciler: Reconciler = field(init=False)
    monitor: DeadlineMonitor = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        self.reconciler = Reconciler(
            source=DirectorySource(self.root, path="deployments"),
            store=self.store,
            clock=self.clock,
            initial=NOBODY,
            deployments=self.deployments,
            settle=self.admission.settle_before_change,
            project=lambda *_: (),
        )
        self.restart()

    @property
    def admission(self) -> Admission:
        return Admission(self.clock, self.ids, self.deployments)

    def restart(self) -> None:
        """Replace the monitor, as a new process does."""
        self.monitor = DeadlineMonitor(self.deployments)

    def declare(self, name: str = "a", **document: object) -> None:
        """Write the document of a deployment, and apply it."""
        self.write(name, **document)
        self.apply()

    def write(self, name: str = "a", **document: object) -> None:
        path = self.root / "deployments" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"name": name, "command": ["true"], **document}), encoding="utf-8")

    def apply(self) -> None:
        result = self.reconciler.run_pass()
        assert result.error is None
        assert all(finding.severity is not Severity.ERROR for finding in result.status.findings)

    def delete(self, name: str = "a") -> None:
        (self.root / "deployments" / f"{name}.yaml").unlink()
        self.apply()

    def admit(self, *names: str) -> list[Run]:
        """Decide the due times of these deployments, or of all, as the engine does."""
        with self.store.write() as tx:
            return self.admission.process_due(tx, names or inventory.cursors(tx), self.clock.now())

    def trigger(self, name: str = "a", due_time: datetime | None = None) -> Run:
        with self.store.write() as tx:
            return self.admission.create_run(tx, name, {}, due_time=due_time)

    def start(self, run: Run | None = None, name: str = "a") -> Run:
        """Start the next attempt of this run, or of the oldest one that waits."""
        if run is None:
            run = self.find_runs(name, RunState.PENDING, RunState.RETRYING)[0]
        attempt = Attempt(run_id=run.id, number=run.attempt + 1, nonce="n", boot_id="b", state=RunState.LAUNCHING)
        with self.store.write() as tx:
            if run.state is RunState.RETRYING:
                runs.move(tx, run.id, expect=RunState.RETRYING, to=RunState.PENDING)
            assert run_transitions.claim(tx, [attempt])
            assert run_transitions.start(tx, [attempt], self.clock.now())
        return self.find(run)

    def end(
        self, run: Run | None = None, state: RunState = RunState.SUCCEEDED, name: str = "a", reason: str | None = None
    ) -> Run:
        """End the attempt of this run, or of the oldest one that is running."""
        run = self.find(run) if run is not None else self.find_runs(name, RunState.RUNNING)[0]
        with self.store.write() as tx:
            outcomes.record_outcomes(tx, [(run, RunOutcome(state=state, reason=reason))], self.clock.now())
        return self.find(run)

    def cancel(self, run: Run) -> None:
        with self.store.write() as tx:
            outcomes.cancel(tx, self.find(run), "no longer needed", self.clock.now())

    def skip(self, run: Run, reason: str) -> None:
        with self.store.write() as tx:
            outcomes.skip(tx, self.find(run), reason, self.clock.now())

    def hold(self, name: str = "a", until: datetime | None = None) -> None:
        new = Hold(deployment=name, reason="no", author="me", since=self.clock.now(), until=until)
        with self.store.write() as tx:
            holds.save(tx, new)

    def resume(self, name: str = "a") -> None:
        with self.store.write() as tx:
            holds.remove(tx, name)

    def check(self) -> DeadlineChange:
        """Check as often as the monitor asks for. Return all changes."""
        changes = DeadlineChange()
        for _ in range(100):
            has_work, before = self.has_work(), self.records()
            with self.store.write() as tx:
                change = self.monitor.check(tx, self.clock.now())
            assert has_work or (change, self.records()) == (DeadlineChange(), before)
            changes = replace(
                changes,
                missed=[*changes.missed, *change.missed],
                met=[*changes.met, *change.met],
                withdrawn=[*changes.withdrawn, *change.withdrawn],
            )
            next_time = self.monitor.next_time()
            if next_time is None or next_time > self.clock.now():
                assert not self.has_work()
                return changes
        raise AssertionError("the monitor asks for another check again and again")

    def has_work(self) -> bool:
        """Return whether the monitor asks for a write transaction."""
        with self.store.read() as tx:
            return self.monitor.has_work(tx, self.clock.now())

    def pass_time(self, by: timedelta, act: Callable[[], object] = lambda: None) -> DeadlineChange:
        """Let time pass, act, and check."""
        self.clock.turn(by)
        act()
        return self.check()

    def find(self, run: Run) -> Run:
        return next(other for other in self.find_runs(run.deployment) if other.id == run.id)

    def find_runs(self, name: str = "a", *states: RunState) -> list[Run]:
        """Oldest first."""
        with self.store.read() as tx:
            return select_all(tx, RunFilter(deployment=name, states=states or frozenset(RunState)))[::-1]

    def active(self, name: str = "a") -> list[Run]:
        return self.find_runs(name, *ACTIVE)

    def missed(self) -> list[MissedDeadline]:
        with self.store.read() as tx:
            return deadlines.find_missed(tx)

    def records(self) -> list[DeadlineRecord]:
        with self.store.read() as tx:
            return deadlines.find_all(tx)

    def events(self) -> list[Event]:
        """Those about deadlines, oldest first."""
        with self.store.read() as tx:
            latest = events.latest(tx, 1000)[::-1]
        return [event for event in latest if event.reason in ("Late", "Overdue", "OnTime")]
