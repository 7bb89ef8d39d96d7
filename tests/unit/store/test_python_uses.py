"""Which deployments wait for a Python environment."""

from datetime import UTC, datetime

from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.status import InventoryEntry
from controller.store import Store, Transaction, inventory, python_environments, python_uses
from tests.unit.runs.counting import counted

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def add(tx: Transaction, name: str, python: str | None, waiting: str | None = None) -> None:
    entry = InventoryEntry(
        name=name,
        file=f"{name}.yaml",
        line=1,
        document={},
        spec_digest="1",
        revision="a",
        cursor=NOW,
        python=python,
        python_waiting=waiting,
    )
    inventory.save(tx, [entry])


def request(tx: Transaction, name: str, state: PythonState) -> None:
    environment = PythonEnvironment(
        request=name, declared_at="a", state=state, reason="Reason", message=name, created_at=NOW
    )
    python_environments.insert_new(tx, environment)
    python_environments.change(tx, name, state=state.value)


def test_deployments_wait_for_requests_that_are_not_ready(store: Store) -> None:
    with store.write() as tx:
        request(tx, "new", PythonState.BUILDING)
        request(tx, "old", PythonState.READY)
        request(tx, "bad", PythonState.FAILED)
        add(tx, "c", "bad")
        add(tx, "b", "old", waiting="new")
        add(tx, "a", "bad", waiting="new")
        add(tx, "plain", None)
        add(tx, "deleted", "bad")
        inventory.remove(tx, ["deleted"], NOW)
    with store.read() as tx:
        problems = python_uses.find_not_ready(tx)
    assert [(each.deployment, each.request, each.state) for each in problems] == [
        ("a", "bad", PythonState.FAILED),
        ("a", "new", PythonState.BUILDING),
        ("b", "new", PythonState.BUILDING),
        ("c", "bad", PythonState.FAILED),
    ]


def test_no_deployment_is_read_if_all_requests_are_ready(store: Store) -> None:
    with store.write() as tx:
        request(tx, "old", PythonState.READY)
        add(tx, "a", "old")
    with store.read() as tx, counted() as statements:
        assert python_uses.find_not_ready(tx) == []
    assert not [each for each in statements if "inventory" in each]
