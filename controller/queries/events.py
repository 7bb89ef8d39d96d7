"""Events with their numbers, so that a reader can go on where it was; and the attempts of a run."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controller.errors import NotFoundError
from controller.model.runs import Run
from controller.model.status import Event, EventSeverity
from controller.queries.runs import RunView, find_run, shown
from controller.store import Transaction, events, runs
from controller.store.events import EventsWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One recorded fact; a later one has a higher `id`."""

    id: int
    time: datetime
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One try of a run."""

    number: int
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    signal: int | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(RunView):
    """Everything about one run; `history` are its attempts so far, oldest first."""

    history: tuple[AttemptView, ...]


def event_view(number: int, event: Event) -> EventView:
    """Show this event."""
    return EventView(
        id=number,
        time=event.time,
        severity=event.severity,
        reason=event.reason,
        message=event.message,
        about=event.about,
        revision=event.revision,
    )


def list_events(tx: Transaction, wanted: EventsWanted) -> list[EventView]:
    """These events, newest first."""
    return [event_view(number, event) for number, event in events.page(tx, wanted)]


def new_events(tx: Transaction, last: int, limit: int) -> list[EventView]:
    """The first so many events after this number, oldest first."""
    return [event_view(number, event) for number, event in events.after(tx, last, limit=limit)]


def exact_run(tx: Transaction, run_id: str) -> Run:
    """The run of exactly this id. Raises NotFoundError."""
    found = runs.find(tx, run_id) if run_id.isascii() else None
    if found is None:
        raise NotFoundError("There is no such run.", hint="See `controller runs list`.")
    return found


def run_detail(tx: Transaction, run_id: str, now: datetime, directory: Path | None = None) -> RunDetail:
    """Everything about the run of exactly this id; `directory` is where those of runs are. Raises NotFoundError."""
    from dataclasses import fields

    view = find_run(tx, exact_run(tx, run_id).id, now, directory=directory)
    history = tuple(
        AttemptView(
            number=one.number,
            state=shown(one.state).value,
            started_at=one.started_at,
            finished_at=one.finished_at,
            exit_code=one.exit_code,
            signal=one.signal,
            reason=one.reason,
        )
        for one in runs.attempts_of(tx, run_id)
    )
    return RunDetail(**{field.name: getattr(view, field.name) for field in fields(view)}, history=history)
