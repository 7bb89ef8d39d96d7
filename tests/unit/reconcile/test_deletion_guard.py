"""Large deletions are withheld while the rest is applied, and an approval applies to exactly its deletions."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from controller.model.status import Condition, ConditionType
from controller.reconcile.deletion_guard import guard_deletions
from controller.reconcile.reconciler import PassResult
from controller.store import Transaction, inventory, passes, source_status
from tests.conftest import NOW
from tests.unit.reconcile.conftest import World, hourly

HOUR = timedelta(hours=1)
BROKEN = "name: [not closed\n"


def many(count: int) -> dict[str, str]:
    return {f"d{number}": hourly(f"d{number}") for number in range(count)}


def approve(world: World, digest: str) -> None:
    with world.store.write() as tx:
        source_status.approve(tx, digest)


def conditions(result: PassResult) -> dict[ConditionType, Condition]:
    return {found.type: found for found in result.status.conditions}


def delete(world: World, *names: str, **others: str | None) -> PassResult:
    return world.put(**dict.fromkeys(names), **others)


@pytest.mark.parametrize(
    ("active", "deleted", "is_withheld"),
    [
        (1, 1, False),
        (2, 1, False),
        (2, 2, True),
        (5, 5, True),
        (6, 5, False),
        (7, 6, True),
        (25, 5, False),
        (25, 6, True),
        (30, 6, False),
        (30, 7, True),
        (1000, 200, False),
        (1000, 201, True),
    ],
)
def test_the_limit_is_five_or_a_fifth_and_never_all(world: World, active: int, deleted: int, is_withheld: bool) -> None:
    world.put(**many(min(active, 2)))
    entry = world.entries()["d0"]
    remaining = active - deleted
    found = guard_deletions([entry] * deleted, active=active, remaining=remaining, plan_digest="sha256:0")
    assert (found is not None) is is_withheld


def test_withheld_deployments_stay_active_and_the_rest_is_applied(world: World) -> None:
    world.put(**many(8))
    revision = world.entries()["d0"].revision
    world.clock.turn(HOUR)
    result = delete(world, *(f"d{number}" for number in range(7)), new=hourly("new"), d7=hourly("d7", description="x"))
    assert sorted(world.entries()) == [*(f"d{number}" for number in range(8)), "new"]
    assert world.entries()["d7"].document["description"] == "x"
    assert set(world.projected) == set(world.entries())
    withheld = result.status.withheld
    assert withheld is not None
    assert withheld.deployments == tuple(f"d{number}" for number in range(7))
    found = conditions(result)
    assert set(found) == {ConditionType.READY, ConditionType.PRUNE_WITHHELD}
    assert (found[ConditionType.READY].is_true, found[ConditionType.READY].reason) == (False, "PruneWithheld")
    assert withheld.digest in found[ConditionType.PRUNE_WITHHELD].message
    assert (world.entries()["d0"].pinned, world.entries()["d0"].reason) == (revision, "PruneWithheld")
    assert ("source", "PruneWithheld") in world.reported()
    assert result.status.last_applied_revision == result.status.revision


def test_an_approval_applies_to_exactly_its_deletions(world: World) -> None:
    world.put(**many(8))
    withheld = delete(world, *(f"d{number}" for number in range(7)), new=hourly("new")).status.withheld
    assert withheld is not None
    approve(world, "sha256:of-something-else")
    assert world.reconciler.run_pass(is_requested=True).status.withheld is not None
    approve(world, withheld.digest)
    result = world.reconciler.run_pass(is_requested=True)
    assert (result.status.withheld, result.status.approved) == (None, None)
    assert sorted(world.entries()) == ["d7", "new"]
    assert conditions(result)[ConditionType.READY].is_true is True
    with world.store.read() as tx:
        assert inventory.tombstone_names(tx) == [f"d{number}" for number in range(7)]


def test_an_approval_during_a_pass_is_not_lost(world: World) -> None:
    world.put(**many(8))
    withheld = delete(world, *(f"d{number}" for number in range(7))).status.withheld
    assert withheld is not None

    def meanwhile(tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> None:  # noqa: ARG001
        source_status.approve(tx, withheld.digest)

    world.restart(settle=meanwhile)
    assert world.put(new=hourly("new")).status.withheld == withheld
    world.restart()
    assert world.put().status.withheld is None
    assert sorted(world.entries()) == ["d7", "new"]


def test_an_approval_waits_for_a_source_that_can_be_read(world: World) -> None:
    world.put(**many(8))
    withheld = delete(world, *(f"d{number}" for number in range(7))).status.withheld
    assert withheld is not None
    approve(world, withheld.digest)
    manifests = world.root / "deployments"
    manifests.rename(world.root / "away")
    assert world.reconciler.run_pass().error is not None
    (world.root / "away").rename(manifests)
    assert world.reconciler.run_pass().status.withheld is None
    assert sorted(world.entries()) == ["d7"]


def test_an_approval_waits_until_an_atomic_revision_is_valid(world: World) -> None:
    world.is_atomic = True
    world.restart()
    world.put(**many(8))
    withheld = delete(world, *(f"d{number}" for number in range(7)), d7=BROKEN).status.withheld
    assert withheld is not None
    approve(world, withheld.digest)
    assert world.reconciler.run_pass(is_requested=True).status.withheld == withheld
    assert len(world.entries()) == 8
    assert world.put(d7=hourly("d7")).status.withheld is None
    assert sorted(world.entries()) == ["d7"]


def test_an_approval_of_other_deletions_has_no_effect(world: World) -> None:
    world.put(**many(8))
    withheld = delete(world, *(f"d{number}" for number in range(7))).status.withheld
    assert withheld is not None
    approve(world, withheld.digest)
    result = world.put(d0=hourly("d0", description="back"), d7=None)
    assert result.status.withheld is not None
    assert result.status.withheld.digest != withheld.digest
    assert len(world.entries()) == 8
    assert result.status.approved is None


def test_a_restored_document_is_no_longer_withheld(world: World) -> None:
    world.put(**many(3))
    assert delete(world, "d0", "d1", "d2").status.withheld is not None
    result = world.put(**many(3))
    assert result.status.withheld is None
    assert all(entry.is_valid and entry.pinned is None for entry in world.entries().values())
    assert ("d0", "Recovered") in world.reported()


def test_a_broken_file_does_not_change_what_is_withheld(world: World) -> None:
    world.put(**many(8))
    first = delete(world, *(f"d{number}" for number in range(7))).status.withheld
    second = world.put(d7=BROKEN).status.withheld
    assert first is not None
    assert second is not None
    assert (first.digest, first.plan_digest) == (second.digest, second.plan_digest)


def test_withheld_deletions_and_approvals_survive_a_restart(world: World) -> None:
    world.put(**many(3))
    withheld = delete(world, "d0", "d1", "d2").status.withheld
    world.restart()
    assert world.put().status.withheld == withheld
    assert withheld is not None
    approve(world, withheld.digest)
    world.restart()
    world.put()
    assert world.entries() == {}


def test_the_only_deployment_is_deleted_without_approval(world: World) -> None:
    world.put(a=hourly("a"))
    assert delete(world, "a").status.withheld is None
    assert world.entries() == {}


def test_a_deployment_with_prune_disabled_stays_active(world: World) -> None:
    world.put(a=hourly("a", prune="disabled"), b=hourly("b"))
    revision = world.entries()["a"].revision
    result = delete(world, "a")
    entry = world.entries()["a"]
    assert (entry.pinned, entry.reason, entry.is_valid) == (revision, "PruneDisabled", True)
    assert "a" in world.projected
    assert conditions(result)[ConditionType.READY].is_true is True
    world.put(a=hourly("a", prune="disabled"))
    assert (world.entries()["a"].pinned, world.entries()["a"].reason) == (None, "Applied")


def test_a_rename_keeps_the_cursor_and_raises_the_generation(world: World) -> None:
    world.put(old=hourly("old"), other=hourly("other"))
    world.clock.turn(HOUR)
    result = world.put(old=None, new=hourly("new", renamed_from="old"))
    assert result.plan is not None
    assert (len(result.plan.update), result.plan.create, result.plan.delete) == (1, (), ())
    entry = world.entries()["new"]
    assert (set(world.entries()), set(world.projected)) == ({"new", "other"}, {"new", "other"})
    assert (entry.cursor, entry.generation) == (NOW, 2)
    assert ("new", "Renamed") in world.reported()
    assert ("old", "Created") not in world.reported()
    assert ("new", "Created") in world.reported()


def test_a_rename_from_an_unknown_name_is_reported_and_applied(world: World) -> None:
    world.put(new=hourly("new", renamed_from="ghost"))
    assert "new" in world.entries()
    assert ("new", "RenamedFromUnknown") in world.reported()
    world.put(new=hourly("new", renamed_from="ghost", description="x"))
    assert world.reported().count(("new", "RenamedFromUnknown")) == 1


def test_atomic_applies_nothing_while_any_document_is_invalid(world: World) -> None:
    world.is_atomic = True
    world.restart()
    world.put(a=hourly("a"), b=hourly("b"))
    before = world.entries()
    result = world.put(a=hourly("a", description="x"), b=BROKEN, c=hourly("c"))
    assert {name: entry.document for name, entry in world.entries().items()} == {
        name: entry.document for name, entry in before.items()
    }
    assert result.status.last_applied_revision != result.status.last_attempted_revision
    assert conditions(result)[ConditionType.READY].reason == "InvalidManifest"
    result = world.put(b=hourly("b"))
    assert set(world.entries()) == {"a", "b", "c"}
    assert result.status.last_applied_revision == result.status.last_attempted_revision


def test_tombstones_are_kept_for_a_month(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b"), c=hourly("c"))
    delete(world, "a")
    world.clock.turn(timedelta(days=29))
    delete(world, "b")
    with world.store.read() as tx:
        assert inventory.tombstone_names(tx) == ["a", "b"]
        assert inventory.find_removed(tx, "a") is not None
    world.clock.turn(timedelta(days=2))
    delete(world, "c")
    with world.store.read() as tx:
        assert inventory.tombstone_names(tx) == ["b", "c"]


def test_a_requested_pass_plans_again_but_records_only_changes(world: World) -> None:
    world.put(a=hourly("a"))
    assert world.reconciler.run_pass().plan is None
    assert world.reconciler.run_pass(is_requested=True).plan is not None
    with world.store.read() as tx:
        found = passes.latest(tx)
    assert len(found) == 1
    assert list(found[0].stages) == ["observe", "read", "parse", "plan", "apply", "project", "garbage"]
    assert found[0].counts == {"new": 1, "changed": 0, "pruned": 0, "kept": 0, "unchanged": 0}
