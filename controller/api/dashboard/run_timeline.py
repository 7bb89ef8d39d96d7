"""The way of a run through its states, one line each in the order of time: for its page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from controller.queries.events import RunDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happened when; `state` is the state that the run or its attempt was in from then on, if that is one."""

    state: str
    words: str
    at: datetime | None
    detail: str = ""


def steps(view: RunDetail) -> list[Step]:
    """Due, created, each attempt, and the end."""
    return list(_steps(view))


def _steps(view: RunDetail) -> Iterator[Step]:
    if view.scheduled_for is not None:
        yield Step(state="scheduled", words="due", at=view.scheduled_for)
    yield Step(
        state="pending", words=_ASKED.get(view.trigger, "created"), at=view.created_at, detail=view.waiting or ""
    )
    many = view.attempts > 1
    for one in view.history:
        name = f"attempt {one.number} of {view.attempts} " if many else ""
        if one.started_at is not None:
            yield Step(state="running", words=f"{name}started", at=one.started_at)
        if one.finished_at is not None and (many or view.finished_at is None):
            yield Step(state=one.state, words=f"{name}{_said(one.state)}", at=one.finished_at, detail=one.reason or "")
    if view.finished_at is not None:
        yield Step(state=view.state, words=_said(view.state), at=view.finished_at, detail=view.reason or "")
    elif view.not_before is not None and view.state in ("pending", "retrying"):
        yield Step(state=view.state, words="starts not before", at=view.not_before)


def _said(state: str) -> str:
    return state.replace("_", " ")


_ASKED = {
    "schedule": "created by its schedule",
    "manual": "asked for by hand",
    "backfill": "created by a backfill",
    "retry": "asked for again",
}
