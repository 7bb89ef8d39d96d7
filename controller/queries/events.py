"""Events with their numbers, from which readers can resume, and the details of one run with its attempts."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controller.errors import NotFoundError
from controller.model.runs import Run
from controller.model.status import Event, EventSeverity
from controller.queries.runs import RunView, find_run, public_state
from controller.store import Transaction, events, runs
from controller.store.events import EventFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One event. Later events have higher ids."""

    id: int
    time: datetime
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One attempt of a run."""

    number: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    signal: int | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(RunView):
    """All details of one run. `history` has its attempts so far, oldest first."""

    history: tuple[AttemptView, ...]


def event_view(number: int, event: Event) -> EventView:
    """Convert an event to a view."""
    return EventView(
        id=number,
        time=event.time,
        severity=event.severity,
        reason=event.reason,
        message=event.message,
        about=event.about,
        revision=event.revision,
    )


def list_events(tx: Transaction, criteria: EventFilter) -> list[EventView]:
    """Return the events that match, newest first."""
    return [event_view(number, event) for number, event in events.page(tx, criteria)]


def new_events(tx: Transaction, last: int, limit: int) -> list[EventView]:
    """Return up to `limit` events with numbers above `last`, oldest first."""
    return [event_view(number, event) for number, event in events.after(tx, last, limit=limit)]


def exact_run(tx: Transaction, run_id: str) -> Run:
    """Return the run with exactly this id. Raises NotFoundError."""
    run = runs.find(tx, run_id) if run_id.isascii() else None
    if run is None:
        raise NotFoundError("There is no such run.", hint="See `controller runs list`.")
    return run


def run_detail(tx: Transaction, run_id: str, now: datetime, directory: Path | None = None) -> RunDetail:
    """Return all details of the run with exactly this id. Raises NotFoundError.

    `directory` contains the directories of runs.
    """
    from dataclasses import fields

    view = find_run(tx, exact_run(tx, run_id).id, now, directory=directory)
    history = tuple(
        AttemptView(
            number=attempt.number,
            state=public_state(attempt.state).value,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            exit_code=attempt.exit_code,
            signal=attempt.signal,
            reason=attempt.reason,
        )
        for attempt in runs.attempts_of(tx, run_id)
    )
    return RunDetail(**{field.name: getattr(view, field.name) for field in fields(view)}, history=history)
