"""Reads what is due from the recorded inventory, before the first pass after a start. The reconciler calls it.

Only the schedules of each document are read. Its deployment is built when it is due, or by the first pass.
"""

from collections.abc import Callable, Iterator

from controller.manifests.recorded_schedules import RecordedSchedules
from controller.model.schedules import Agenda
from controller.model.snapshots import is_python
from controller.model.status import InventoryEntry
from controller.model.stored_documents import plain_document
from controller.store import Transaction, inventory

FIRST = 100
BATCH = 1000
Build = Callable[[InventoryEntry], Agenda | None]


def read_recorded(
    tx: Transaction, build: Build, is_over: Callable[[], bool]
) -> Iterator[tuple[dict[str, InventoryEntry], dict[str, Agenda]]]:
    """Yield the recorded entries in batches, each with the agendas of those that have active schedules, by name.

    The first batch is small, and has the deployments that were due most recently: they fire often, and do not have to
    wait until the others are read. Stops early if `is_over`. `build` returns the agenda of an entry whose document this
    version may not be able to read, or None.
    """
    recorded = RecordedSchedules()
    names = list(inventory.cursors(tx))
    starts = [0, *range(FIRST, len(names), BATCH)]
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        if is_over():
            return
        stored = inventory.compact_entries(tx, names[start:end])
        entries = {name: stored[name] for name in names[start:end] if name in stored}
        agendas = {
            name: agenda
            for name, entry in entries.items()
            if not is_python(entry.file) and (agenda := _read_agenda(entry, recorded, build)) is not None
        }
        yield entries, agendas


def _read_agenda(entry: InventoryEntry, recorded: RecordedSchedules, build: Build) -> Agenda | None:
    document = plain_document(entry.document)
    try:
        declared = recorded.find(document)
    except Exception:  # noqa: BLE001
        return build(entry)  # it finds and reports what is wrong
    if document.get("suspend", False):
        return None
    schedules = tuple(schedule for schedule in declared if not schedule.suspend)
    schedules = declared if len(schedules) == len(declared) else schedules
    return Agenda(schedules=schedules, after=entry.cursor) if schedules else None
