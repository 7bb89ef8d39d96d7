"""Many rows are written in groups, so that they are not all in memory at the same time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.store import Store, events, inventory
from controller.store.batches import SIZE, groups

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_generator_is_read_one_group_at_a_time() -> None:
    taken: list[int] = []

    def values() -> Iterator[int]:
        for number in range(2 * SIZE + 1):
            taken.append(number)
            yield number

    lengths = [(len(group), len(taken)) for group in groups(values())]
    assert lengths == [(SIZE, SIZE), (SIZE, 2 * SIZE), (1, 2 * SIZE + 1)]


def test_entries_and_events_of_all_groups_are_written_in_order(store: Store) -> None:
    names = [f"d{number:04}" for number in range(2 * SIZE + 1)]
    entries = [
        InventoryEntry(
            name=name, file="a.yaml", line=1, document={"name": name}, spec_digest="1", revision="1", cursor=NOW
        )
        for name in names
    ]
    made = [
        Event(time=NOW, severity=EventSeverity.INFO, reason="Created", message=name, about=name, deployment=name)
        for name in names
    ]
    with store.write() as tx:
        inventory.save(tx, entries)
        events.append(tx, iter(made))
    with store.read() as tx:
        assert list(inventory.entries(tx)) == names
        page = events.first_page(tx, events.EventFilter(limit=5 * SIZE))
        assert [event.message for _, event in page] == names
        assert inventory.entries(tx)["d0000"].revision is inventory.entries(tx)["d0001"].revision


def test_compact_entries_equal_the_entries(store: Store) -> None:
    document = {"name": "a", "parameters": {"text": "ü\u2028", "numbers": [1, 1.0, True, None]}}
    entry = InventoryEntry(
        name="a", file="a.yaml", line=1, document=document, spec_digest="1", revision="1", cursor=NOW, changed_in="2"
    )
    with store.write() as tx:
        inventory.save(tx, [entry])
    with store.read() as tx:
        (compact,) = inventory.compact_entries(tx).values()
        assert compact == entry == inventory.find(tx, "a")
        assert json.dumps(compact.document["parameters"]) == json.dumps(document["parameters"])
        inventory_before = inventory.entries(tx)
    with store.write() as tx:
        inventory.save(tx, [compact])
    with store.read() as tx:
        assert inventory.entries(tx) == inventory_before
