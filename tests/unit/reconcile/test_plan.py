"""Properties of plans for any files: a second plan is empty, and the order of files does not matter."""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.names import fold_name
from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.snapshots import ManifestFile, RefusedFile, Snapshot
from controller.model.status import ConditionType, InventoryEntry
from controller.reconcile.apply import apply
from controller.reconcile.plan import Plan, make_plan
from controller.reconcile.status import plan_events
from controller.store import Store, Transaction, inventory
from tests.conftest import NOW
from tests.thoroughness import scaled
from tests.unit.reconcile.conftest import NOBODY, hourly

NAMES = ["a", "b", "c", "A"]
FILES = [f"deployments/{name}.yaml" for name in ("one", "two", "three")]

DOCUMENTS = st.one_of(
    st.sampled_from(NAMES).map(hourly),
    st.sampled_from(NAMES).map(lambda name: hourly(name, description="new")),
    st.sampled_from(NAMES).map(lambda name: hourly(name, suspend="true")),
    st.sampled_from(NAMES).map(lambda name: f"name: {name}\ncommand: 5\n"),
    st.just("command: ['true']\n"),
)
CONTENTS = st.one_of(
    st.lists(DOCUMENTS, min_size=1, max_size=3).map("---\n".join), st.just("name: [broken\n"), st.just("")
)
REVISIONS = st.dictionaries(st.sampled_from(FILES), st.one_of(CONTENTS, st.none()), max_size=3)


def snapshot_of(files: dict[str, str | None], revision: str = "r") -> Snapshot:
    """Return the snapshot of these files; None as the content means a refused file."""
    return Snapshot(
        revision=revision,
        files=tuple(
            ManifestFile(path=path, content=text.encode(), digest=hashlib.sha256(text.encode()).hexdigest())
            for path, text in files.items()
            if text is not None
        ),
        refused=tuple(RefusedFile(path=path, message="no") for path, text in files.items() if text is None),
    )


def read(snapshot: Snapshot) -> DesiredState:
    return ManifestReader().read(snapshot.files, NOW)


def settle_nothing(*_: object, **__: object) -> None:
    """Do nothing, since nothing is due in these tests."""


def plan_for(tx: Transaction, snapshot: Snapshot) -> Plan:
    return make_plan(snapshot, read(snapshot), inventory.entries(tx))


def apply_now(tx: Transaction, plan: Plan) -> None:
    apply(tx, plan, NOBODY, NOW, settle_nothing)


PROJECTS = itertools.count()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "state.db"
    Store.open(path).close()
    return path


def names(plan: Plan) -> dict[str, set[str]]:
    return {
        "create": {new.name for new in plan.create},
        "update": {update.after.name for update in plan.update},
        "delete": {entry.name for entry in plan.delete},
        "keep": {kept.entry.name for kept in plan.keep},
    }


@settings(max_examples=scaled(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(revisions=st.lists(REVISIONS, min_size=1, max_size=3))
def test_after_applying_a_plan_the_next_plan_is_empty(database: Path, revisions: list[dict[str, str | None]]) -> None:
    store = Store.open(database, project=f"p{next(PROJECTS)}")
    try:
        for number, files in enumerate(revisions):
            with store.write() as tx:
                snapshot = snapshot_of(files, f"r{number}")
                plan = plan_for(tx, snapshot)
                apply_now(tx, plan)
                applied = inventory.entries(tx)
                again = plan_for(tx, snapshot)
                assert (again.create, again.update, again.delete) == ((), (), ())
                assert names(again)["keep"] == names(plan)["keep"]
                apply_now(tx, again)
                assert inventory.entries(tx) == applied
    finally:
        store.close()


@settings(max_examples=scaled(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=REVISIONS, after=REVISIONS, data=st.data())
def test_each_deployment_is_listed_once_whatever_the_order_of_files(
    before: dict[str, str | None], after: dict[str, str | None], data: st.DataObject
) -> None:
    recorded = active_entries(before)
    snapshot = snapshot_of(after)
    plan = make_plan(snapshot, read(snapshot), recorded)
    placed = names(plan)
    assert sum(map(len, placed.values())) == len(set().union(*placed.values()))
    assert placed["create"].isdisjoint(recorded)
    assert placed["delete"] | placed["keep"] | placed["update"] <= recorded.keys()
    assert len(recorded) + len(placed["create"]) == sum(map(len, placed.values())) + plan.unchanged
    shuffled = dict(data.draw(st.permutations(list(after.items()))))
    other = snapshot_of(shuffled)
    assert names(make_plan(other, read(other), recorded)) == placed


@settings(max_examples=scaled(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=REVISIONS, after=REVISIONS)
def test_a_deployment_that_may_have_moved_is_not_deleted(
    before: dict[str, str | None], after: dict[str, str | None]
) -> None:
    recorded = active_entries(before)
    snapshot = snapshot_of(after)
    desired = read(snapshot)
    plan = make_plan(snapshot, desired, recorded)
    bad = desired.broken_files | {refusal.path for refusal in snapshot.refused}
    withheld = set(plan.withheld.deployments) if plan.withheld else set()
    declared = {fold_name(name) for name in desired.declared_names}
    for name in names(plan)["delete"] | withheld:
        assert fold_name(name) not in declared
        assert recorded[name].file not in bad
    if not (desired.unclear_files or snapshot.refused):
        for name in names(plan)["keep"] - withheld:
            assert fold_name(name) in declared or recorded[name].file in bad
    if not bad:
        absent = recorded.keys() - desired.deployments.keys()
        renamed = {name for name in absent if fold_name(name) in declared}
        assert names(plan)["keep"] == withheld | renamed
        assert names(plan)["delete"] | withheld == absent - renamed


def active_entries(files: dict[str, str | None]) -> dict[str, InventoryEntry]:
    """Return the inventory after these files were applied to an empty state."""
    return {
        name: InventoryEntry(
            name=name,
            file=new.file,
            line=new.line,
            document=new.document,
            spec_digest=new.spec_digest,
            revision="r",
            cursor=NOW,
        )
        for name, new in read(snapshot_of(files)).deployments.items()
    }


def test_only_a_change_of_active_schedules_reschedules() -> None:
    recorded = active_entries({"deployments/one.yaml": hourly("a") + "---\n" + hourly("b") + "---\n" + hourly("c")})
    changed = [hourly("a", description="new"), hourly("b", suspend="true"), hourly("c")]
    snapshot = snapshot_of({"deployments/one.yaml": "---\n".join(changed)})
    plan = make_plan(snapshot, read(snapshot), recorded)
    assert {update.after.name: update.is_rescheduled for update in plan.update} == {"a": False, "b": True, "c": False}


def test_a_moved_line_changes_only_the_record() -> None:
    recorded = active_entries({"deployments/one.yaml": hourly("a")})
    snapshot = snapshot_of({"deployments/one.yaml": "\n\n" + hourly("a")})
    [update] = make_plan(snapshot, read(snapshot), recorded).update
    assert (update.after.line, update.is_rescheduled) == (3, False)


def test_an_invalid_entry_is_updated_when_it_is_valid_again(store: Store) -> None:
    good = snapshot_of({"deployments/one.yaml": hourly("a")})
    bad = snapshot_of({"deployments/one.yaml": "name: [broken\n"})
    with store.write() as tx:
        for snapshot in (good, replace(bad, revision="r2"), replace(good, revision="r3")):
            plan = plan_for(tx, snapshot)
            apply_now(tx, plan)
        assert names(plan)["update"] == {"a"}
        entry = inventory.entries(tx)["a"]
    assert (entry.is_valid, entry.pinned, entry.revision) == (True, None, "r3")


def test_the_reason_of_a_failed_build_is_in_the_event_and_in_one_condition(store: Store) -> None:
    message = "No solution was found."
    python = PythonEnvironment(
        request="1" * 64,
        declared_at="requirements.txt",
        state=PythonState.FAILED,
        reason="ResolveFailed",
        message=message,
        created_at=NOW,
    )
    with store.write() as tx:
        apply_now(tx, plan_for(tx, snapshot_of({FILES[0]: hourly("a")})))
        snapshot = snapshot_of({FILES[0]: hourly("a", description="new")})
        plan = make_plan(snapshot, read(snapshot), inventory.entries(tx), python={"a": python})
        apply_now(tx, plan)
        conditions = {one.type: one.message for one in inventory.entries(tx)["a"].conditions}
    waits = "The newest version waits for its Python environment; the last one stays active."
    assert conditions == {ConditionType.READY: waits, ConditionType.PYTHON_READY: message}
    ((reason, text),) = [(event.reason, event.message) for event in plan_events(plan, NOW)]
    assert (reason, text) == ("ResolveFailed", f"{waits} {message}")


def test_a_rename_that_changes_only_the_case_is_refused() -> None:
    recorded = active_entries({"deployments/one.yaml": hourly("sales") + "---\n" + hourly("other")})
    plan = plan_of(recorded, "# moved\n" + hourly("Sales") + "---\n" + hourly("other"))
    assert names(plan) == {"create": set(), "update": {"other"}, "delete": set(), "keep": {"sales"}}
    [finding] = plan.findings
    assert (finding.code, finding.line, finding.column, finding.deployment) == ("CaseOnlyRename", 2, 7, "sales")
    assert plan.keep[0].message == str(finding)


def test_the_hint_of_a_rename_that_changes_only_the_case_works_word_for_word() -> None:
    recorded = active_entries({"deployments/one.yaml": hourly("sales")})
    [finding] = plan_of(recorded, hourly("Sales")).findings
    assert finding.hint == "write name: sales, or a name that differs in more than case and renamed_from: sales"
    unchanged = plan_of(recorded, hourly("sales"))
    assert (unchanged.findings, unchanged.unchanged, unchanged.changes_anything) == ((), 1, False)
    renamed = plan_of(recorded, hourly("Sales-EU", renamed_from="sales"))
    assert (renamed.findings, [update.is_renamed for update in renamed.update]) == ((), [True])
    assert names(renamed) == {"create": set(), "update": {"Sales-EU"}, "delete": set(), "keep": set()}


def test_an_invalid_document_whose_name_changed_only_in_case_keeps_the_deployment() -> None:
    recorded = active_entries({"deployments/gone.yaml": hourly("sales")})
    plan = plan_of(recorded, "name: Sales\ncommand: 5\n")
    assert names(plan)["keep"] == {"sales"}
    assert {finding.deployment for finding in plan.findings} == {"sales"}


def test_renamed_from_in_another_case_moves_the_history() -> None:
    recorded = active_entries({"deployments/one.yaml": hourly("sales")})
    plan = plan_of(recorded, hourly("orders", renamed_from="SALES"))
    assert names(plan) == {"create": set(), "update": {"orders"}, "delete": set(), "keep": set()}


def plan_of(recorded: dict[str, InventoryEntry], text: str) -> Plan:
    snapshot = snapshot_of({"deployments/one.yaml": text})
    return make_plan(snapshot, read(snapshot), recorded)
