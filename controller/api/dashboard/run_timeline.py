"""The history of a run as a list of steps in time order, for the page of the run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from controller.model.runs import RunDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what happened and when. `state` is that of the run or attempt from then on; it selects the glyph."""

    state: str
    text: str
    at: datetime | None
    detail: str = ""


def steps(view: RunDetail) -> list[Step]:
    """Return the steps of a run: due, created, the start and end of each attempt, finished."""
    return list(_steps(view))


def _steps(view: RunDetail) -> Iterator[Step]:
    if view.scheduled_for is not None:
        yield Step(state="scheduled", text="due", at=view.scheduled_for)
    yield Step(
        state="pending", text=_CREATED.get(view.trigger, "created"), at=view.created_at, detail=view.waiting or ""
    )
    has_retries = view.attempts > 1
    for attempt in view.history:
        name = f"attempt {attempt.number} of {view.attempts} " if has_retries else ""
        if attempt.started_at is not None:
            yield Step(state="running", text=f"{name}started", at=attempt.started_at)
        if attempt.finished_at is not None and (has_retries or view.finished_at is None):
            yield Step(
                state=attempt.state,
                text=f"{name}{_readable(attempt.state)}",
                at=attempt.finished_at,
                detail=attempt.reason or "",
            )
    if view.finished_at is not None:
        yield Step(state=view.state, text=_readable(view.state), at=view.finished_at, detail=view.reason or "")
    elif view.not_before is not None and view.state in ("pending", "retrying"):
        yield Step(state=view.state, text="starts no earlier than", at=view.not_before)


def _readable(state: str) -> str:
    return state.replace("_", " ")


_CREATED = {
    "schedule": "triggered by schedule",
    "manual": "triggered manually",
    "backfill": "triggered by backfill",
    "retry": "triggered by retry",
}
