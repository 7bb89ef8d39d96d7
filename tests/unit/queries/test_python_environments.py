"""Python environments with the deployments that use them, or that wait for them."""

from datetime import UTC, datetime

import pytest

from controller.errors import NotFoundError
from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.status import InventoryEntry
from controller.queries.python_environments import (
    find_deployment_python,
    find_python_environments,
    python_environments,
)
from controller.store import Store, inventory
from controller.store import python_environments as table

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def record(store: Store, request: str, digest: str | None, *, is_ready: bool = True) -> None:
    """Record an environment that is ready, or whose build failed."""
    environment = PythonEnvironment(
        request=request,
        declared_at=f"{request}.txt",
        state=PythonState.READY if is_ready else PythonState.FAILED,
        reason="Ready" if is_ready else "IndexUnreachable",
        message="",
        created_at=NOW,
        digest=digest,
        log="the end of the log",
    )
    built = table.BuiltEnvironment(
        digest=digest or "",
        version="3.11.2",
        packages={"six": "1"},
        executable="/x",
        ready_at=NOW,
        used_at=NOW,
        bytes=7,
    )
    with store.write() as tx:
        table.insert_new(tx, environment)
        if is_ready:
            table.save_built(tx, built)


def use(store: Store, deployment: str, request: str, *, waiting: str | None = None) -> None:
    entry = InventoryEntry(
        name=deployment,
        file="deployments/all.yaml",
        line=1,
        document={"name": deployment, "command": ["true"]},
        spec_digest="sha256:1",
        revision="r1",
        cursor=NOW,
        python=request,
        python_waiting=waiting,
    )
    with store.write() as tx:
        inventory.save(tx, [entry])


def test_requests_with_one_lock_are_one_environment(store: Store) -> None:
    record(store, "team-a", "d1")
    record(store, "team-b", "d1")
    use(store, "two", "team-b")
    use(store, "one", "team-a")
    with store.read() as tx:
        [row] = python_environments(tx)
    assert (row.id, row.size, row.packages) == ("d1", 7, {"six": "1"})
    assert (row.declared_at, row.deployments) == (("team-a.txt", "team-b.txt"), ("one", "two"))


def test_failed_environments_come_first_by_the_digest_of_their_request(store: Store) -> None:
    record(store, "a", "d1")
    record(store, "b", None, is_ready=False)
    with store.read() as tx:
        assert [(row.id, row.digest, row.reason) for row in python_environments(tx)] == [
            ("b", None, "IndexUnreachable"),
            ("d1", "d1", "Ready"),
        ]


def test_a_kept_deployment_uses_its_old_environment_and_waits_for_the_new_one(store: Store) -> None:
    record(store, "old", "d1")
    record(store, "new", None, is_ready=False)
    use(store, "daily", "old", waiting="new")
    use(store, "gone", "old")
    with store.write() as tx:
        inventory.remove(tx, ["gone"], NOW)
    with store.read() as tx:
        first, second = find_python_environments(tx, "daily")
        python = find_deployment_python(tx, "daily")
        assert find_deployment_python(tx, "gone").active is None
    assert (first.id, first.deployments, first.waiting) == ("d1", ("daily",), ())
    assert (second.id, second.deployments, second.waiting) == ("new", (), ("daily",))
    assert python.active is not None
    assert python.waiting is not None
    assert (python.active.digest, python.waiting.reason) == ("d1", "IndexUnreachable")


def test_an_environment_is_found_by_a_unique_beginning_of_a_digest(store: Store) -> None:
    record(store, "a1", "d1")
    record(store, "a2", "d2")
    with store.read() as tx:
        assert find_python_environments(tx, "d2")[0].requests == ("a2",)
        assert find_python_environments(tx, "a1")[0].digest == "d1"
        for name, message in (("d", "more than one"), ("x", "neither"), ("", "neither")):
            with pytest.raises(NotFoundError, match=message):
                find_python_environments(tx, name)


def test_an_environment_that_no_request_names_is_listed_while_it_is_on_disk(store: Store) -> None:
    record(store, "a", "d1")
    with store.write() as tx:
        table.change(tx, "a", digest="d2")
    with store.read() as tx:
        assert {(row.id, row.reason) for row in python_environments(tx)} == {("d1", "Replaced"), ("d2", "Ready")}
