"""Readers find what changed in the inventory since a number, and notice when old names are missing."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from controller.model.status import Hold, InventoryEntry
from controller.store import Store, holds, inventory, inventory_changes, queues
from controller.store.inventory_changes import find_changed
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES


def entry(name: str) -> InventoryEntry:
    return InventoryEntry(
        name=name,
        file=f"deployments/{name}.yaml",
        line=1,
        document={"name": name, "command": ["true"]},
        spec_digest="sha256:1",
        revision="r1",
        cursor=NOW,
        conditions=(),
    )


@BOTH_DATABASES
def test_only_the_last_old_names_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_changes, "OLD_NAMES", 2)
    with store.write() as tx:
        inventory.save(tx, [entry("a0"), entry("b")])
        for number in range(4):
            inventory.rename(tx, f"a{number}", f"a{number + 1}")
            inventory.delete_removed(tx, NOW - inventory.TOMBSTONES)
    with store.read() as tx:
        old_names = tx.connection.execute(text("SELECT old_name FROM renames ORDER BY old_name"))
        assert list(old_names.scalars()) == ["a2", "a3"]
        assert find_changed(tx, 4) == ({"a3", "a4"}, 5, True)
        assert find_changed(tx, 3) == ({"a2", "a3", "a4", "b"}, 5, False)
        assert find_changed(tx, None) == ({"a2", "a3", "a4", "b"}, 5, True)


@BOTH_DATABASES
def test_the_end_of_a_hold_is_a_change_of_the_queue(store: Store) -> None:
    ends = [NOW + timedelta(minutes=minutes) for minutes in (3, 2)]
    with store.write() as tx:
        for name, until in zip(("a", "b", "c"), (*ends, None), strict=True):
            holds.save(tx, Hold(deployment=name, reason="r", author="t", since=NOW, until=until))
        assert queues.next_change(tx, NOW) == ends[1]
        assert queues.next_change(tx, ends[1]) == ends[0]
        assert queues.next_change(tx, ends[0]) is None
