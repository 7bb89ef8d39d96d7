"""Invariants that hold after commits, broken files, holds, restarts, lost sources and drift in any order.

They are Flux's status invariants (pkg/runtime/conditions/check), and further ones on the inventory and the jobs.
"""

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.model.schedules import Agenda
from controller.model.status import Condition, ConditionType, Hold, SourceStatus
from controller.queries.deployments import Sync, list_deployments
from controller.scheduler import Timetable
from controller.store import Store, holds, inventory, source_status
from tests.conftest import ManualClock
from tests.thoroughness import scaled
from tests.unit.reconcile.conftest import World

NAMES = [f"d{number}" for number in range(9)]
FILES = ["one", "two", "three"]
BROKEN = "name: [not closed\n"
BAD = "name: {name}\ncommand: 5\n"

names = st.lists(st.sampled_from(NAMES), max_size=5, unique=True)


def document(name: str, version: int) -> str:
    return f"name: {name}\ncommand: ['true']\nversion: '{version}'\nschedule: {{at: '2099-01-01T00:00Z'}}\n"


class Life(RuleBasedStateMachine):
    """A directory, a reconciler and a real timetable; `written` has the texts of the files by name."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.clock = ManualClock()
        self.store = Store.open(self.top / "state.db")
        self.timetable = Timetable(lambda _: None)
        self.timetable.start()
        self.world = _World(self.top / "repo", self.store, self.clock, timetable=self.timetable)
        self.written: dict[str, str] = {}
        self.before: dict[ConditionType, Condition] = {}
        self.version = 0

    def teardown(self) -> None:
        self.timetable.close()
        self.store.close()
        shutil.rmtree(self.top)

    @rule(file=st.sampled_from(FILES), declared=names, invalid=st.lists(st.sampled_from(NAMES), max_size=1))
    def write(self, file: str, declared: list[str], invalid: list[str]) -> None:
        self.version += 1
        good = [document(name, self.version) for name in declared if name not in invalid]
        self.commit(file, "---\n".join([*good, *(BAD.format(name=name) for name in invalid)]))

    @rule(file=st.sampled_from(FILES), name=st.sampled_from(NAMES))
    def break_file(self, file: str, name: str) -> None:
        self.commit(file, BROKEN + f"name: {name}\n")

    @rule(file=st.sampled_from(FILES))
    def remove(self, file: str) -> None:
        self.commit(file, None)

    def commit(self, file: str, text: str | None) -> None:
        self.clock.turn(timedelta(minutes=1))
        path = self.world.root / "deployments" / f"{file}.yaml"
        if text is None:
            self.written.pop(file, None)
            path.unlink(missing_ok=True)
        else:
            self.written[file] = text
            path.write_text(text)
        self.make_pass()

    def job_names(self) -> set[str]:
        return {job.id for job in self.timetable._scheduler.get_jobs()}

    def make_pass(self, *, is_requested: bool = False) -> None:
        entries, self.before = self.world.entries(), self.conditions()
        self.world.reconciler.run_pass(is_requested=is_requested)
        removed = entries.keys() - self.world.entries().keys()
        assert not [name for name in removed if any(f"name: {name}\n" in text for text in self.written.values())]

    @rule()
    def approve(self) -> None:
        status = self.status()
        if status is not None and status.withheld is not None:
            with self.store.write() as tx:
                source_status.approve(tx, status.withheld.digest)
            self.make_pass(is_requested=True)
            assert not self.world.entries().keys() & set(status.withheld.deployments) or self.may_keep_more()

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self.make_pass()

    @rule(name=st.sampled_from(NAMES))
    def hold(self, name: str) -> None:
        now = self.clock.now()
        with self.store.write() as tx:
            if not holds.remove(tx, name) and inventory.find(tx, name):
                holds.save(tx, Hold(deployment=name, reason="why", author="me", since=now))

    @rule()
    def lose_and_regain_the_source(self) -> None:
        entries = self.world.entries()
        there, away = self.world.root / "deployments", self.world.root / "away"
        there.rename(away)
        assert self.world.reconciler.run_pass().error is not None
        assert (self.world.entries(), self.job_names()) == (entries, set(entries))
        self.check_conditions(self.conditions())
        away.rename(there)
        self.make_pass()

    @precondition(lambda self: self.job_names())
    @rule(data=st.data())
    def tamper_with_the_jobs(self, data: st.DataObject) -> None:
        scheduler = self.timetable._scheduler
        name = data.draw(st.sampled_from(sorted(self.job_names())))
        if data.draw(st.booleans()):
            scheduler.remove_job(name)
        else:
            scheduler.pause_job(name)
        scheduler.add_job(print, "date", run_date="2098-01-01", id="stranger")
        self.world.reconciler.check_drift()
        assert {about for about, reason in self.world.reported() if reason == "Drift"} >= {name, "stranger"}

    @invariant()
    def every_entry_has_one_job_and_every_job_an_entry(self) -> None:
        assert self.job_names() == self.world.entries().keys()

    @invariant()
    def conditions_make_sense(self) -> None:
        found = self.conditions()
        self.check_conditions(found)
        for kind, condition in found.items():
            old = self.before.get(kind)
            if old is not None and old.status is condition.status and condition.reason != "InvalidManifest":
                assert condition.last_transition_time >= old.last_transition_time

    @invariant()
    def rows_agree_with_their_conditions(self) -> None:
        with self.store.read() as tx:
            rows = list_deployments(tx, self.clock.now())
        for row in rows:
            ready = {condition.type: condition.status for condition in row.conditions}.get(ConditionType.READY)
            assert row.observed_generation <= row.generation
            assert row.observed_generation == row.generation or ready != "True"
            assert (row.sync is Sync.SYNCED) <= (ready == "True")

    @invariant()
    def valid_documents_are_active(self) -> None:
        documents = [
            part
            for text in self.written.values()
            if not text.startswith(BROKEN)
            for part in text.split("---\n")
            if part
        ]
        declared = [part.splitlines()[0].removeprefix("name: ") for part in documents]
        entries = self.world.entries()
        for name, part in zip(declared, documents, strict=True):
            if declared.count(name) == 1 and "command: 5" not in part:
                assert entries[name].document["version"] in part
        if not self.may_keep_more():
            status = self.status()
            kept = set(status.withheld.deployments) if status is not None and status.withheld is not None else set()
            assert entries.keys() == {*declared} | kept

    def may_keep_more(self) -> bool:
        texts = list(self.written.values())
        declared = [line for text in texts for line in text.splitlines() if line.startswith("name: ")]
        return (
            any(text.startswith(BROKEN) for text in texts)
            or any("command: 5" in text for text in texts)
            or len(declared) != len(set(declared))
        )

    def status(self) -> SourceStatus | None:
        with self.store.read() as tx:
            return source_status.find(tx)

    def conditions(self) -> dict[ConditionType, Condition]:
        status = self.status()
        return {} if status is None else {found.type: found for found in status.conditions}

    @staticmethod
    def check_conditions(found: Mapping[ConditionType, Condition]) -> None:
        if not found:
            return
        ready = found[ConditionType.READY]
        others = [condition for kind, condition in found.items() if kind is not ConditionType.READY]
        assert all(condition.is_true for condition in others)
        assert not (ready.is_true and others)
        assert not {ConditionType.RECONCILING, ConditionType.STALLED} <= found.keys()


class _World(World):
    """A world with a real timetable."""

    def __init__(self, root: Path, store: Store, clock: ManualClock, *, timetable: Timetable) -> None:
        self._timetable = timetable
        super().__init__(root, store, clock)

    def _project(self, agendas: Mapping[str, Agenda], removed: Iterable[str] | None) -> Iterable[str]:
        return self._timetable.project(agendas, removed)


TestLife = Life.TestCase
TestLife.settings = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
    max_examples=scaled(25),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
