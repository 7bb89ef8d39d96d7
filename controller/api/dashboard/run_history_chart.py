"""Geometry of the run history chart of one deployment: duration and outcome of each of its last runs.

Only coordinates and texts are computed here; the template draws them. A bar takes ten horizontal units (`STEP`), which
stretch with the screen.
"""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from controller.api.dashboard.charts import RunBar
from controller.api.dashboard.template_filters import seconds, tone
from controller.model.runs import FAILURES, Run
from controller.records import dataclass
from controller.time_format import in_utc

HEIGHT = 110
STEP = 10
MIN_BARS = 30
_BAR = 7
_MIN_HEIGHT = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The chart, oldest run first. `top` is the duration at full height; `middle` and `middle_y` are the median.

    While the chart `is_sparse`, the bars are aligned to the right and the left part is empty.
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
        """Whether there are fewer runs than the chart has room for."""
        return len(self.bars) < MIN_BARS


def history_chart(runs: Sequence[Run], now: datetime) -> History | None:
    """Lay out runs, given newest first. Return None if no run has started."""
    started = [run for run in reversed(runs) if run.started_at is not None]
    if not started:
        return None
    durations = [_duration(run, now) for run in started]
    highest = max(0.001, *durations)
    middle = median(durations)
    room = max(len(started), MIN_BARS)
    bars = tuple(
        _bar(run, duration, (room - len(started) + index) * STEP, highest)
        for index, (run, duration) in enumerate(zip(started, durations, strict=True))
    )
    failed = sum(run.state in FAILURES for run in started)
    return History(
        width=room * STEP,
        height=HEIGHT,
        bars=bars,
        top=seconds(highest),
        middle=seconds(middle),
        middle_y=round(HEIGHT - middle / highest * HEIGHT, 1),
        first=started[0].created_at,
        last=started[-1].created_at,
        title=f"last {len(started)} runs, {failed} failed; the longest took {seconds(highest)}",
    )


def _bar(run: Run, duration: float, x: int, highest: float) -> RunBar:
    height = round(max(_MIN_HEIGHT, duration / highest * HEIGHT), 1)
    state = run.state.replace("_", " ")
    return RunBar(
        id=run.id,
        x=x + (STEP - _BAR) // 2,
        y=round(HEIGHT - height, 1),
        height=height,
        tone=tone(run.state),
        title=f"{state}, {seconds(duration)}, {in_utc(run.created_at)}",
        mark=run.state in FAILURES,
    )


def _duration(run: Run, now: datetime) -> float:
    if run.took is not None:
        return run.took
    assert run.started_at is not None
    return max(0.0, ((run.finished_at or now) - run.started_at).total_seconds())
