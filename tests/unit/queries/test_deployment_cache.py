"""The cache equals a full read after any changes between two reads, and reads only what changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import event, text

from controller.errors import StateError
from controller.manifests import active_deployments
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.build import build_deployment
from controller.manifests.canonical_json import digest
from controller.model.deployments import Deployment
from controller.model.findings import Finding
from controller.model.notifications import DeadlineKind, DeadlineRecord, MissedDeadline
from controller.model.runs import LastRun, Run, RunId, RunState, Trigger
from controller.model.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Hold,
    InventoryEntry,
    PassRecord,
    SourceStatus,
)
from controller.model.stored_documents import StoredDocument
from controller.queries import deployment_cache, deployments, fire_timeline, next_starts
from controller.queries.attention import find_attention
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.deployment_rows import summarize
from controller.queries.deployments import (
    BaseRow,
    DeploymentView,
    Sync,
    build_entry,
    complete_row,
    find_streak,
    list_deployments,
)
from controller.queries.fire_timeline import find_upcoming
from controller.queries.graph import read_graph
from controller.queries.moment import Moment
from controller.queries.next_starts import next_fire_time
from controller.runs.ids import RunIds
from controller.store import (
    Store,
    Transaction,
    deadlines,
    holds,
    inventory,
    inventory_changes,
    passes,
    runs,
    source_status,
)
from controller.store.commit_counter import CommitCounter
from controller.store.prepared import Prepared
from tests.conftest import NOW, ManualClock
from tests.thoroughness import scaled

NAMES = st.sampled_from(["a", "b", "c", "d"])
SCHEDULES = st.sampled_from([[], [{"interval": "20s"}], [{"cron": "*/5 * * * *"}], [{"at": "2026-06-01T12:01:00Z"}]])
SOON = st.integers(1, 400).map(lambda seconds: timedelta(seconds=seconds))


@pytest.fixture(autouse=True, scope="module")
def _few_old_names() -> Iterator[None]:
    """Keep 3 old names instead of 1,000, so that tests need few renames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inventory_changes, "OLD_NAMES", 3)
        yield


def entry(name: str, *, reason: str = "Applied", generation: int = 1, **document: object) -> InventoryEntry:
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus(str(reason == "Applied")),
        reason=reason,
        message="",
        last_transition_time=NOW,
    )
    return InventoryEntry(
        name=name,
        file=f"deployments/{name}.yaml",
        line=1,
        document={"name": name, "command": ["true"], **document},
        spec_digest="sha256:1",
        revision="r1",
        cursor=NOW,
        conditions=(ready,),
        generation=generation,
    )


@cache
def empty_state() -> bytes:
    """The content of an empty database, cached because migrations take longer than a test."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "state.db"
        Store.open(path).close()
        return path.read_bytes()


class World:
    """A store, as the controller writes it, and a cache of its deployments."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.ids = RunIds()
        (path / "state.db").write_bytes(empty_state())
        self.store = Store.open(path / "state.db")
        self.cache = DeploymentCache(self.store, CommitCounter(path / "state.db"), self.clock)
        self.source = SourceStatus(
            repo="/r", ref=None, revision="r1", last_attempted_revision="r1", last_applied_revision="r1"
        )

    def close(self) -> None:
        self.cache.close()
        self.store.close()

    @contextmanager
    def reconcile_pass(self, **changes: object) -> Iterator[Transaction]:
        """Open the transaction of a pass, which also records the pass."""
        self.source = replace(self.source, **changes)  # type: ignore[arg-type]
        with self.store.write() as tx:
            yield tx
            source_status.save(tx, self.source)
            passes.append(
                tx,
                PassRecord(
                    started_at=self.clock.now(), revision="r", reason="Applied", message="", counts={}, stages={}
                ),
            )

    def new_run(self, name: str, state: RunState, *, delay: timedelta | None = None) -> RunId:
        now = self.clock.now()
        new = Run(
            id=self.ids.new(now),
            deployment=name,
            state=state,
            trigger=Trigger.MANUAL,
            created_at=now,
            not_before=None if delay is None else now + delay,
            revision="r1",
            file="f",
            spec_digest="sha256:1",
        )
        with self.store.write() as tx:
            runs.insert_all(tx, [new])
        return new.id


class CacheMachine(RuleBasedStateMachine):
    """Changes the state in any order, and compares the cache with a full read after each step."""

    @initialize()
    def begin(self) -> None:
        self.directory = TemporaryDirectory()
        self.world = World(Path(self.directory.name))
        self.active: list[RunId] = []
        self.generation = 1

    def teardown(self) -> None:
        self.world.close()
        self.directory.cleanup()

    @rule(
        name=NAMES,
        schedules=SCHEDULES,
        suspend=st.booleans(),
        reason=st.sampled_from(["Applied", "PruneWithheld"]),
        after=st.sets(NAMES, max_size=2),
    )
    def declare(self, name: str, schedules: list[object], suspend: bool, reason: str, after: set[str]) -> None:
        self.generation += 1
        more = {"after": sorted(after)} if after else {}
        declared = entry(name, reason=reason, generation=self.generation, schedules=schedules, suspend=suspend, **more)
        with self.world.reconcile_pass() as tx:
            inventory.save(tx, [declared])

    @rule(name=NAMES)
    def break_it(self, name: str) -> None:
        with self.world.reconcile_pass() as tx:
            for old in inventory.find_many(tx, [name]):
                broken = replace(old, pinned="r0", conditions=entry(name, reason="InvalidManifest").conditions)
                inventory.update_keeping_cursor(tx, [broken])

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        with self.world.reconcile_pass() as tx:
            inventory.remove(tx, [name], NOW)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        with self.world.reconcile_pass() as tx:
            if old != new and inventory.find(tx, old) is not None and inventory.find(tx, new) is None:
                inventory.rename(tx, old, new)
                inventory.delete_removed(tx, NOW - inventory.TOMBSTONES)

    @rule(attempted=st.sampled_from(["r1", "r2"]), broken=st.sets(NAMES))
    def find_errors(self, attempted: str, broken: set[str]) -> None:
        findings = tuple(Finding(code="X", message="?", file="f", line=1, column=1, deployment=name) for name in broken)
        with self.world.reconcile_pass(last_attempted_revision=attempted, findings=findings):
            pass

    @rule(name=NAMES, until=st.none() | SOON)
    def hold(self, name: str, until: timedelta | None) -> None:
        now = self.world.clock.now()
        with self.world.store.write() as tx:
            end = None if until is None else now + until
            holds.save(tx, Hold(deployment=name, reason="r", author="t", since=now, until=end))

    @rule(name=NAMES, kind=st.sampled_from(DeadlineKind), is_missed=st.booleans())
    def miss_a_deadline(self, name: str, kind: DeadlineKind, is_missed: bool) -> None:
        now = self.world.clock.now()
        miss = MissedDeadline(deployment=name, kind=kind, due_time=None, deadline=now, since=now)
        record = DeadlineRecord(deployment=name, kind=kind, length=timedelta(hours=1), checked_at=now)
        with self.world.store.write() as tx:
            deadlines.save(tx, [replace(record, miss=miss if is_missed else None)])

    @rule(name=NAMES)
    def resume(self, name: str) -> None:
        with self.world.store.write() as tx:
            holds.remove(tx, name)

    @rule(
        name=NAMES,
        state=st.sampled_from([RunState.PENDING, RunState.RUNNING, RunState.FAILED, RunState.SKIPPED]),
        delay=st.none() | SOON,
    )
    def run_it(self, name: str, state: RunState, delay: timedelta | None) -> None:
        run_id = self.world.new_run(name, state, delay=delay)
        if not state.is_terminal:
            self.active.append(run_id)

    @precondition(lambda self: self.active)
    @rule(which=st.integers(0, 100), to=st.sampled_from([RunState.SUCCEEDED, RunState.FAILED]))
    def end_one(self, which: int, to: RunState) -> None:
        run_id = self.active.pop(which % len(self.active))
        with self.world.store.write() as tx:
            run = runs.find(tx, run_id)
            assert run is not None
            assert runs.move(tx, run_id, expect=run.state, to=to, finished_at=self.world.clock.now())

    @rule(by=SOON)
    def time_passes(self, by: timedelta) -> None:
        self.world.clock.turn(by)

    @rule(by=SOON)
    def the_clock_steps_back(self, by: timedelta) -> None:
        self.world.clock.step(-by)

    @invariant()
    def cache_equals_a_full_read(self) -> None:
        with self.world.store.read() as tx:
            expected = list_deployments(tx, self.world.clock.now())
            graph = read_graph(tx, self.world.clock.now())
        assert self.world.cache.graph() == graph
        cached = self.world.cache.deployments()
        assert cached == expected
        assert self.world.cache.summary() == summarize(expected)
        now = self.world.clock.now()
        firing = [view for view in expected if view.next_fire_time is not None]
        sources = [(view.name, (self.world.cache.schedules(view.name), view.hold)) for view in firing]
        assert self.world.cache.upcoming().rare == find_upcoming(sources, now).rare
        assert list(find_attention(self.world.source, self.world.cache.summary().notable)) == list(
            find_attention(self.world.source, expected)
        )
        assert [find_streak(view) for view in cached] == [find_streak(view) for view in expected]


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=scaled(40), stateful_step_count=30, deadline=None)


def test_the_end_of_an_older_run_changes_the_count_of_failures(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a")])
    older = world.new_run("a", RunState.RUNNING)
    world.new_run("a", RunState.FAILED)
    [view] = world.cache.deployments()
    assert find_streak(view).count == 1  # type: ignore[union-attr]
    with world.store.write() as tx:
        assert runs.move(tx, older, expect=RunState.RUNNING, to=RunState.FAILED, finished_at=NOW)
    [view] = world.cache.deployments()
    assert find_streak(view).count == 2  # type: ignore[union-attr]
    world.close()


def test_an_entry_that_was_renamed_has_its_own_name_and_not_that_of_its_document(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a")])
    world.new_run("a", RunState.FAILED)
    world.cache.deployments()
    with world.reconcile_pass() as tx:
        inventory.rename(tx, "a", "b")
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a", generation=2)])
    rows = {view.name: view.last_run for view in world.cache.deployments()}
    assert rows.keys() == {"a", "b"}
    assert rows["a"] is None
    assert rows["b"] is not None
    with world.store.read() as tx:
        assert world.cache.deployments() == list_deployments(tx, world.clock.now())
    world.close()


def test_a_deployment_with_an_equal_entry_and_another_history_is_read_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a"), entry("b")])
    world.new_run("a", RunState.FAILED)
    world.cache.deployments()
    with world.reconcile_pass() as tx:
        inventory.rename(tx, "a", "c")
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a")])
    rows = {view.name: view.last_run is None for view in world.cache.deployments()}
    assert rows == {"a": True, "b": True, "c": False}
    world.close()


def test_a_deletion_that_is_not_recorded_any_more_is_noticed_after_a_long_time_without_reads(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a"), entry("b"), entry("c")])
    assert len(world.cache.deployments()) == 3
    with world.reconcile_pass() as tx:
        inventory.remove(tx, ["a", "b"], world.clock.now())
    world.clock.turn(inventory.TOMBSTONES + timedelta(days=1))
    with world.reconcile_pass() as tx:
        inventory.remove(tx, ["c"], world.clock.now())
        inventory.delete_removed(tx, world.clock.now() - inventory.TOMBSTONES)
    assert world.cache.deployments() == []
    world.close()


def test_a_standby_notices_that_the_database_was_restored_from_a_backup(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a")])
    for generation in (2, 3):
        with world.reconcile_pass() as tx:
            inventory.save(tx, [entry("b", generation=generation)])
    assert len(world.cache.deployments()) == 2
    with world.store.write() as tx:  # the backup has the first pass; the next controller then takes another one
        tx.connection.execute(text("DELETE FROM passes"))
        tx.connection.execute(text("DELETE FROM inventory WHERE name = 'b'"))
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("c")])
    assert [view.name for view in world.cache.deployments()] == ["a", "c"]
    world.close()


def test_a_read_that_failed_after_it_had_read_changes_loses_none_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a"), entry("b")])
    world.cache.deployments()
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a", generation=2)])
        inventory.remove(tx, ["b"], NOW)

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM runs" in statement:
            raise StateError("the connection is lost")

    with world.store.read() as tx:
        engine = tx.connection.engine
    event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(StateError):
        world.cache.deployments()
    event.remove(engine, "before_cursor_execute", fail)
    with world.store.read() as tx:
        assert world.cache.deployments() == list_deployments(tx, NOW)
    world.close()


def test_only_changed_deployments_are_read_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry(f"d{number:03}", schedules=[{"interval": "1h"}]) for number in range(300)])
    world.cache.deployments()
    statements: list[str] = []
    documents: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)
        documents.extend([statement] if "document" in statement else [])

    with world.store.read() as tx:
        engine = tx.connection.engine
    event.listen(engine, "before_cursor_execute", record)

    world.cache.deployments()
    assert statements == []

    world.new_run("d007", RunState.FAILED)
    [changed] = [view for view in world.cache.deployments() if view.last_run is not None]
    assert changed.name == "d007"
    assert documents == []
    assert len(statements) <= 9

    with world.reconcile_pass(revision="r2") as tx:
        inventory.update_keeping_cursor(tx, [entry("d008", generation=2, schedules=[{"interval": "2h"}])])
    world.cache.deployments()
    assert len(documents) == 1
    world.close()


def test_a_commit_reads_as_many_rows_as_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    fetch = Prepared.fetch

    def counting(prepared: Prepared, tx: Transaction, **parameters: Any) -> list[Any]:
        fetched = fetch(prepared, tx, **parameters)
        rows.append(len(fetched))
        return fetched

    monkeypatch.setattr(Prepared, "fetch", counting)
    reads: dict[int, tuple[int, int]] = {}
    computed: list[object] = []
    next_day = fire_timeline._next_day

    def compute(*arguments: Any) -> Any:
        computed.append(arguments)
        return next_day(*arguments)

    monkeypatch.setattr(fire_timeline, "_next_day", compute)
    for count in (20, 400):
        (tmp_path / str(count)).mkdir()
        world = World(tmp_path / str(count))
        with world.reconcile_pass() as tx:
            inventory.save(tx, [entry(f"d{number}", schedules=[{"interval": "8h"}]) for number in range(count)])
        assert sum(slot.count for slot in world.cache.upcoming().rare.values()) == 3 * count
        with world.reconcile_pass(revision="r2") as tx:
            changed = entry("d7", generation=2, schedules=[{"interval": "12h"}])
            inventory.update_keeping_cursor(tx, [changed])
        rows.clear()
        computed.clear()
        assert sum(slot.count for slot in world.cache.upcoming().rare.values()) == 3 * count - 1
        reads[count] = (sum(rows), len(computed))
        world.close()
    assert reads[20] == reads[400] == (2, 1)  # the name and the entry


def test_the_number_of_a_change_is_never_used_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a"), entry("b")])
    with world.reconcile_pass() as tx:
        inventory.remove(tx, ["a"], NOW)
    with world.store.write() as tx:
        last = inventory_changes.last_change(tx)
        inventory.delete_removed(tx, NOW + timedelta(days=1))
        assert inventory.find_removed(tx, "a") is None
        assert inventory_changes.last_change(tx) == last
        inventory.save(tx, [entry("c")])
        assert inventory_changes.find_changed(tx, last) == ({"c"}, last + 1, True)
        inventory.rename(tx, "b", "d")
        assert inventory_changes.find_changed(tx, last + 1) == ({"b", "d"}, last + 2, True)
    world.close()


def test_old_names_go_and_a_reader_that_missed_some_reads_everything(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("a0"), entry("b")])
    assert [view.name for view in world.cache.deployments()] == ["a0", "b"]
    for number in range(5):
        with world.reconcile_pass() as tx:
            inventory.rename(tx, f"a{number}", f"a{number + 1}")
            inventory.delete_removed(tx, NOW - inventory.TOMBSTONES)
    with world.store.read() as tx:
        last = inventory_changes.last_change(tx)
        assert tx.connection.execute(text("SELECT old_name FROM renames ORDER BY old_name")).scalars().all() == [
            "a2",
            "a3",
            "a4",
        ]
        assert inventory_changes.find_changed(tx, last - 2) == ({"a3", "a4", "a5"}, last, True)
        assert inventory_changes.find_changed(tx, last - 3) == ({"a2", "a3", "a4", "a5", "b"}, last, False)
    assert [view.name for view in world.cache.deployments()] == ["a5", "b"]
    world.close()


def test_a_run_that_jitter_delays_is_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry("hourly", schedules=[{"interval": "1h"}])])
    hour, delay = timedelta(hours=1), timedelta(minutes=4)
    world.new_run("hourly", RunState.PENDING, delay=delay)
    [delayed] = world.cache.deployments()
    assert (delayed.next_start, delayed.next_fire_time) == (NOW + delay, NOW + hour)
    world.clock.turn(delay)
    [waiting] = world.cache.deployments()
    assert waiting.next_start == NOW + hour
    world.clock.step(-timedelta(minutes=1))
    with world.store.write() as tx:
        holds.save(tx, Hold(deployment="hourly", reason="r", author="t", since=NOW))
    [held] = world.cache.deployments()
    assert held.next_start is None
    world.close()


def test_upcoming_fires_leave_out_suspended_and_held_deployments(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(
            tx,
            [
                entry("rare", schedules=[{"interval": "8h"}]),
                entry("often", schedules=[{"interval": "1m"}]),
                entry("asleep", schedules=[{"interval": "1m"}], suspend=True),
            ],
        )

    def rare() -> int:
        return sum(slot.count for slot in world.cache.upcoming().rare.values())

    assert (rare(), sorted(world.cache.upcoming().frequent)) == (3, ["often"])
    with world.store.write() as tx:
        holds.save(tx, Hold(deployment="often", reason="r", author="t", since=NOW))
    assert (rare(), sorted(world.cache.upcoming().frequent)) == (3, [])
    for hours, frequent in ((18, ["often"]), (48, [])):
        with world.store.write() as tx:
            until = NOW + timedelta(hours=hours)
            holds.save(tx, Hold(deployment="often", reason="r", author="t", since=NOW, until=until))
        assert (rare(), sorted(world.cache.upcoming().frequent)) == (3, frequent)
    world.close()


def test_each_half_hour_counts_all_fires_and_names_the_first(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry(f"d{number:03}", schedules=[{"interval": "12h"}]) for number in range(600)])
    upcoming = world.cache.upcoming()
    schedules = [(view.name, (world.cache.schedules(view.name), None)) for view in world.cache.deployments()]
    assert upcoming == find_upcoming(schedules, NOW)
    assert sum(slot.count for slot in upcoming.rare.values()) == 1200
    assert [name for _, name in next(iter(upcoming.rare.values())).first] == ["d000", "d001", "d002", "d003", "d004"]
    assert world.cache.upcoming() == upcoming
    world.close()


def test_a_schedule_that_fires_often_is_computed_only_as_far_as_needed() -> None:
    every_second = build_entry(entry("often", schedules=[{"interval": "1s"}, {"interval": "2s"}]))
    assert every_second is not None
    upcoming = find_upcoming([(f"d{number}", (every_second.schedules, None)) for number in range(3000)], NOW)
    assert len(upcoming.frequent) == 3000
    assert not upcoming.rare


def test_a_commit_completes_only_the_rows_that_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry(f"d{number}") for number in range(20)])
    world.cache.deployments()
    completed: list[str] = []

    def count(base: BaseRow, run: LastRun | None, moment: Moment) -> DeploymentView:
        completed.append(base.row.name)
        return complete_row(base, run, moment)

    monkeypatch.setattr(deployment_cache, "complete_row", count)
    with world.reconcile_pass(revision="r2", last_attempted_revision="r2", last_applied_revision="r2") as tx:
        inventory.save(tx, [entry("d7", generation=2)])
    assert {view.name for view in world.cache.deployments() if view.generation == 2} == {"d7"}
    assert completed == ["d7"]
    with world.reconcile_pass(last_attempted_revision="r3"):
        pass
    assert {view.sync for view in world.cache.deployments()} == {Sync.OUT_OF_SYNC}
    assert len(completed) == 21
    world.close()


def test_rows_use_the_deployments_that_the_controller_has_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        new = [entry(f"d{number}", schedules=[{"interval": "1h"}]) for number in range(20)]
        inventory.save(tx, [replace(each, spec_digest=digest(each.document)) for each in new])
    shared, built = ActiveDeployments(), []

    def count(*arguments: Any) -> Deployment:
        built.append(arguments)
        return build_deployment(*arguments)

    monkeypatch.setattr(active_deployments, "build_deployment", count)
    monkeypatch.setattr(deployments, "build_deployment", count)
    with world.store.read() as tx:
        schedules = {name: shared.build(each).schedules for name, each in inventory.entries(tx).items()}
    cached = DeploymentCache(world.store, CommitCounter(tmp_path / "state.db"), world.clock, shared.build)
    assert cached.deployments() == world.cache.deployments()
    assert len(built) == 20 + 20  # by us, and by the cache of `world`, which shares nothing
    assert all(cached.schedules(name) is each for name, each in schedules.items())
    cached.close()
    world.close()


def test_the_first_read_parses_no_document_and_computes_each_schedule_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    hours = ("1h", "2h", "3h")
    with world.reconcile_pass() as tx:
        new = [entry(f"d{number}", schedules=[{"interval": hours[number % 3]}]) for number in range(30)]
        inventory.save(tx, [replace(each, spec_digest=digest(each.document)) for each in new])
        held = Hold(deployment="d3", reason="why", author="me", since=world.clock.now())
        holds.save(tx, replace(held, until=world.clock.now() + timedelta(hours=5)))
    shared = ActiveDeployments()
    with world.store.read() as tx:
        for each in inventory.entries(tx).values():
            shared.build(each)
    parsed: list[str] = []
    parse = StoredDocument.parse
    computed: list[object] = []

    def count_parsed(document: StoredDocument) -> dict[str, Any]:
        parsed.append(repr(document))
        return parse(document)

    def compute(*arguments: Any) -> Any:
        computed.append(arguments)
        return next_fire_time(*arguments)

    monkeypatch.setattr(StoredDocument, "parse", count_parsed)
    monkeypatch.setattr(next_starts, "next_fire_time", compute)
    cached = DeploymentCache(world.store, CommitCounter(tmp_path / "state.db"), world.clock, shared.build)
    assert len(cached.deployments()) == 30
    assert (len(parsed), len(computed)) == (0, len(hours) + 1)  # one of the deployments is held
    assert cached.deployments() == world.cache.deployments()
    cached.close()
    world.close()


def test_entries_are_read_in_groups_that_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    find_many = inventory.find_many

    def counting(tx: Transaction, names: list[str]) -> Iterator[InventoryEntry]:
        groups.append(len(names))
        return find_many(tx, names)

    world = World(tmp_path)
    with world.reconcile_pass() as tx:
        inventory.save(tx, [entry(f"d{number}") for number in range(1001)])
    monkeypatch.setattr(inventory, "find_many", counting)
    assert len(world.cache.deployments()) == 1001
    assert groups == [500, 500, 1]
    world.close()
