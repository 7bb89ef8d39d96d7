"""Geometry of the run history of one deployment: how long each of the last runs took, and how it ended.

Numbers and words only: the template draws them. Lengths across are in tenths of a bar, and stretch with the screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from controller.api.dashboard.template_filters import seconds, tone
from controller.queries.runs import RunView
from controller.store.run_statistics import FAILED
from controller.time_format import in_utc

HEIGHT = 110
STEP = 10
LEAST_BARS = 30
_BAR = 7
_LEAST = 3.0
_FAILED = frozenset(state.value for state in FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBar:
    """One run; `mark` if it failed, so that it is told by more than its colour."""

    id: str
    x: int
    y: float
    height: float
    tone: str
    title: str
    mark: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Oldest first. `top` is what the full height stands for; `middle_y` is where the median is.

    While it `is_sparse` they stand at the right, and the left end stands for nothing.
    """

    width: int
    height: int
    bars: tuple[RunBar, ...]
    top: str
    middle: str
    middle_y: float
    first: datetime
    last: datetime
    title: str

    @property
    def is_sparse(self) -> bool:
        """Whether the bars leave room before the first."""
        return len(self.bars) < LEAST_BARS


def history_chart(runs: Sequence[RunView], now: datetime) -> History | None:
    """A picture of these runs, given newest first; None without any that has begun."""
    begun = [run for run in reversed(runs) if run.started_at is not None]
    if not begun:
        return None
    took = [_took(run, now) for run in begun]
    highest = max(*took, 0.001) if len(took) > 1 else max(took[0], 0.001)
    middle = median(took)
    room = max(len(begun), LEAST_BARS)
    bars = tuple(
        _bar(run, lasted, (room - len(begun) + index) * STEP, highest)
        for index, (run, lasted) in enumerate(zip(begun, took, strict=True))
    )
    failed = sum(run.state in _FAILED for run in begun)
    return History(
        width=room * STEP,
        height=HEIGHT,
        bars=bars,
        top=seconds(highest),
        middle=seconds(middle),
        middle_y=round(HEIGHT - middle / highest * HEIGHT, 1),
        first=begun[0].created_at,
        last=begun[-1].created_at,
        title=f"last {len(begun)} runs, {failed} failed; the longest took {seconds(highest)}",
    )


def _bar(run: RunView, lasted: float, x: int, highest: float) -> RunBar:
    tall = round(max(_LEAST, lasted / highest * HEIGHT), 1)
    state = run.state.replace("_", " ")
    return RunBar(
        id=run.id,
        x=x + (STEP - _BAR) // 2,
        y=round(HEIGHT - tall, 1),
        height=tall,
        tone=tone(run.state),
        title=f"{state}, {seconds(lasted)}, {in_utc(run.created_at)}",
        mark=run.state in _FAILED,
    )


def _took(run: RunView, now: datetime) -> float:
    assert run.started_at is not None
    return max(0.0, ((run.finished_at or now) - run.started_at).total_seconds())
