"""Plans for documents with a matrix, and for deployments that are not enabled."""

from collections.abc import Iterator

import pytest

from controller.manifests.reader import ManifestReader
from controller.model.status import InventoryEntry
from controller.reconcile.apply import apply
from controller.reconcile.plan import Plan, make_plan
from controller.reconcile.preview import preview
from controller.reconcile.status import plan_events
from controller.store import Store, Transaction, inventory
from tests.conftest import NOW
from tests.unit.reconcile.conftest import NOBODY, hourly
from tests.unit.reconcile.test_plan import settle_nothing, snapshot_of

FILE, OTHER = "deployments/sales.yaml", "deployments/other.yaml"
SALES = hourly("sales-{region}") + "matrix: {region: [eu, us, ap]}\nparameters: {region: {from: matrix.region}}\n"


def plan_of(files: dict[str, str | None], recorded: dict[str, InventoryEntry], environment: str | None = None) -> Plan:
    snapshot = snapshot_of(files)
    return make_plan(snapshot, ManifestReader(environment).read(snapshot.files, NOW), recorded)


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.write() as transaction:
        yield transaction


def applied(tx: Transaction, files: dict[str, str | None]) -> dict[str, InventoryEntry]:
    apply(tx, plan_of(files, inventory.entries(tx)), NOBODY, NOW, settle_nothing)
    return inventory.entries(tx)


def test_a_value_that_leaves_the_matrix_deletes_its_deployment_only(tx: Transaction) -> None:
    recorded = applied(tx, {FILE: SALES})
    plan = plan_of({FILE: SALES.replace(", ap]", ", sa]")}, recorded)
    assert [entry.name for entry in plan.delete] == ["sales-ap"]
    assert [new.name for new in plan.create] == ["sales-sa"]
    assert (plan.update, plan.unchanged) == ((), 2)


@pytest.mark.parametrize(
    "text",
    [
        SALES.replace("matrix.region}", "matrix.regoin}"),
        SALES.replace("{region: [eu, us, ap]}", "{region: [eu, us, ap], exclude: [{}]}"),
        SALES.replace("sales-{region}", "sales"),
        SALES.replace("[eu, us, ap]", "[eu, us, ap"),
        SALES + "timeuot: 1h\n",
    ],
)
def test_an_invalid_matrix_keeps_the_last_versions_of_all_its_deployments(tx: Transaction, text: str) -> None:
    recorded = applied(tx, {FILE: SALES})
    plan = plan_of({FILE: text}, recorded)
    assert (plan.create, plan.update, plan.delete) == ((), (), ())
    assert {kept.entry.name for kept in plan.keep} == {"sales-ap", "sales-eu", "sales-us"}


def test_an_invalid_value_keeps_its_deployment_and_the_others_are_applied(tx: Transaction) -> None:
    recorded = applied(tx, {FILE: SALES.replace("parameters:", "#")})
    text = SALES.replace("[eu, us, ap]", "[eu, us, 7]").replace("parameters: {region:", "env: {REGION:")
    plan = plan_of({FILE: text}, recorded)
    assert {update.after.name for update in plan.update} == {"sales-eu", "sales-us"}
    assert ([kept.entry.name for kept in plan.keep], plan.delete) == (["sales-ap"], ())


@pytest.mark.parametrize("text", [SALES.replace("ap]", "ap"), SALES.replace("matrix.region}", "matrix.regoin}")])
def test_a_deployment_that_may_have_moved_into_an_invalid_matrix_is_kept(tx: Transaction, text: str) -> None:
    """The text of a matrix does not contain the names that it declares."""
    recorded = applied(tx, {FILE: hourly("sales-eu"), OTHER: hourly("other")})
    plan = plan_of({OTHER: text}, recorded)
    assert ([kept.entry.name for kept in plan.keep], plan.delete) == (["other", "sales-eu"], ())


def test_deployments_move_into_a_matrix_with_their_history(tx: Transaction) -> None:
    recorded = applied(tx, {FILE: f"{hourly('load-eu')}---\n{hourly('load-us')}"})
    text = SALES.replace(", ap]", "]") + "renamed_from: load-{region}\n"
    plan = plan_of({FILE: text}, recorded)
    assert {(update.before.name, update.after.name) for update in plan.update} == {
        ("load-eu", "sales-eu"),
        ("load-us", "sales-us"),
    }


def test_a_deployment_that_is_not_enabled_is_deleted_with_its_reason(tx: Transaction) -> None:
    recorded = applied(tx, {FILE: hourly("a"), OTHER: hourly("b")})
    plan = plan_of({FILE: hourly("a") + "enabled: false\n", OTHER: hourly("b")}, recorded)
    assert [entry.name for entry in plan.delete] == ["a"]
    (change,) = preview(plan, base=None, now=NOW).changes
    assert (change.action, change.deployment, change.reason) == ("delete", "a", "enabled: false")
    (event,) = plan_events(plan, NOW)
    assert event.message == f"Not enabled in this environment: {FILE} has `enabled: false`."


def test_a_protected_deployment_that_is_not_enabled_is_kept(tx: Transaction) -> None:
    recorded = applied(tx, {FILE: hourly("a") + "prune: disabled\n"})
    (kept,) = plan_of({FILE: hourly("a") + "prune: disabled\nenabled: false\n"}, recorded).keep
    assert kept.message == "not enabled in this environment; kept because of prune: disabled"
