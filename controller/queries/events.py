"""Events with their numbers, from which readers can resume."""

from controller.model import extend
from controller.model.status import NumberedEvent
from controller.store import Transaction, events
from controller.store.events import EventFilter


def list_events(tx: Transaction, criteria: EventFilter) -> list[NumberedEvent]:
    """Return the events that match, newest first."""
    return [extend(NumberedEvent, event, id=number) for number, event in events.page(tx, criteria)]


def new_events(tx: Transaction, last: int, limit: int) -> list[NumberedEvent]:
    """Return up to `limit` events with numbers above `last`, oldest first."""
    return [extend(NumberedEvent, event, id=number) for number, event in events.after(tx, last, limit=limit)]
