"""Events with their numbers, from which readers can resume: each later event is read once, also after a restart."""

from dataclasses import replace

from controller.model import extend
from controller.model.status import Event, NumberedEvent
from controller.records import dataclass
from controller.store import Transaction, events
from controller.store.events import EventFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that a reader asked for and that do not exist: those after number `after`, and before number `next`.

    They were deleted because of their age or their number. Or the state is another one, or was restored from a backup,
    and has no event of the number `after` yet; then `next` is not greater than `after`.
    """

    after: int
    next: int

    def __str__(self) -> str:
        if self.next <= self.after:
            return (
                f"There is no event {self.after} in this state, which was replaced or restored from a backup: "
                f"the next event has number {self.next}."
            )
        if self.next == self.after + 2:
            return f"Event {self.after + 1} has been deleted; the next event has number {self.next}."
        return f"Events {self.after + 1} to {self.next - 1} have been deleted; the next event has number {self.next}."


def list_events(tx: Transaction, criteria: EventFilter) -> list[NumberedEvent]:
    """Return the newest events that match, newest first."""
    return [_numbered(row) for row in events.page(tx, criteria)]


def new_events(tx: Transaction, last: int, limit: int) -> list[NumberedEvent]:
    """Return up to `limit` events with numbers above `last`, oldest first."""
    return events_after(tx, last, EventFilter(limit=limit))


def events_after(tx: Transaction, last: int, criteria: EventFilter) -> list[NumberedEvent]:
    """Return the oldest events that match and have numbers above `last`, oldest first."""
    return [_numbered(row) for row in events.first_page(tx, replace(criteria, after=last))]


def find_gap(tx: Transaction, after: int) -> Gap | None:
    """Return the gap between event number `after` and the next one, or None if every later event exists."""
    newest = events.last_number(tx)
    if after > newest:
        return Gap(after=after, next=newest + 1)
    first = events.first_number(tx)
    return Gap(after=after, next=first) if first > after + 1 else None


def _numbered(row: tuple[int, Event]) -> NumberedEvent:
    number, event = row
    return extend(NumberedEvent, event, id=number)
