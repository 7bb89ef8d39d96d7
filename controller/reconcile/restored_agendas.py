"""Reads what is due from the recorded inventory, before the first pass after a start. The reconciler calls it.

Only the schedules of each document are read. Its deployment is built when it is due, or by the first pass.
"""

from collections.abc import Callable, Iterable

from controller.manifests.recorded_schedules import RecordedSchedules
from controller.model.schedules import Agenda
from controller.model.status import InventoryEntry
from controller.model.stored_documents import plain_document


def read_agendas(
    entries: Iterable[InventoryEntry], build: Callable[[InventoryEntry], Agenda | None], is_over: Callable[[], bool]
) -> dict[str, Agenda]:
    """Return the agendas of the entries that have active schedules, by name. Stops early if `is_over`.

    `build` returns the agenda of an entry whose document this version may not be able to read, or None.
    """
    recorded = RecordedSchedules()
    agendas: dict[str, Agenda] = {}
    for entry in entries:
        if is_over():
            break
        agenda = _read_agenda(entry, recorded, build)
        if agenda is not None:
            agendas[entry.name] = agenda
    return agendas


def _read_agenda(
    entry: InventoryEntry, recorded: RecordedSchedules, build: Callable[[InventoryEntry], Agenda | None]
) -> Agenda | None:
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
