"""Geometry of the Gantt chart of a run's tasks, with lines from each task to those that use its result.

Only coordinates and texts are computed here; the template draws them. Horizontal lengths are thousandths of the total
width, so that the chart fits every screen; rows have a fixed height in pixels, equal to that of the list of task names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.api.dashboard.template_filters import seconds, tone
from controller.model.task_runs import TaskRun

ROW = 26
WIDTH = 1000
MAX_ROWS = 200
MAX_LINES = 500
TICKS = 4
_BAR_HEIGHT = 14
_MIN_WIDTH = 3.0
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task or flow. `x` and `width` are None until it starts; `depth` is its level below the outermost flow."""

    task: TaskRun
    depth: int
    tone: str
    x: float | None
    width: float | None
    y: float
    duration: str
    title: str
    depends_on: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """A laid-out chart.

    `paths` is the SVG path data of the dependency lines, `ticks` are evenly spaced labels of elapsed time,
    and `left_out` is the number of tasks beyond `MAX_ROWS`.
    """

    rows: tuple[Row, ...]
    height: int
    paths: tuple[str, ...]
    ticks: tuple[str, ...]
    left_out: int

    @property
    def bar_height(self) -> int:
        """The height of a bar in pixels."""
        return _BAR_HEIGHT

    @property
    def summary(self) -> str:
        """The number of tasks in each state, as text for screen readers."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.task.state] = counts.get(row.task.state, 0) + 1
        by_state = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
        return f"{len(self.rows)} tasks in {self.ticks[-1]}: {by_state}"


def gantt(tasks: Sequence[TaskRun], now: datetime) -> Gantt | None:
    """Lay out tasks in call order; bars of running tasks end at `now`. Return None if no task has started."""
    drawn = tasks[:MAX_ROWS]
    starts = [task.started_at for task in drawn if task.started_at is not None]
    if not starts:
        return None
    begin = min(starts)
    end = max((task.finished_at or now for task in drawn if task.started_at is not None), default=now)
    span = max(end - begin, timedelta(milliseconds=1))
    labels = {task.id: task.label for task in tasks}
    depths: dict[int, int] = {}
    rows = []
    for index, task in enumerate(drawn):
        depths[task.id] = min(_MAX_DEPTH, depths.get(task.parent or 0, -1) + 1)
        rows.append(_row(task, index, begin=begin, span=span, now=now, depth=depths[task.id], labels=labels))
    ticks = tuple(seconds(span.total_seconds() * index / TICKS) for index in range(TICKS + 1))
    return Gantt(
        rows=tuple(rows),
        height=len(rows) * ROW,
        paths=tuple(_lines(rows))[:MAX_LINES],
        ticks=ticks,
        left_out=len(tasks) - len(drawn),
    )


def _row(
    task: TaskRun,
    index: int,
    *,
    begin: datetime,
    span: timedelta,
    now: datetime,
    depth: int,
    labels: dict[int, str],
) -> Row:
    depends_on = tuple(labels[number] for number in task.needs if number in labels)
    x = width = None
    duration = timing = ""
    if task.started_at is not None:
        elapsed = max((task.finished_at or now) - task.started_at, timedelta(0))
        duration = seconds(elapsed.total_seconds())
        offset = task.started_at - begin
        width = round(max(_MIN_WIDTH, elapsed / span * WIDTH), 1)
        x = round(min(offset / span * WIDTH, WIDTH - width), 1)
        timing = f", {duration}, started at +{seconds(offset.total_seconds())}"
    title = f"{task.label}: {task.state.replace('_', ' ')}{timing}"
    if depends_on:
        title += f"; depends on {', '.join(depends_on[:10])}"
    return Row(
        task=task,
        depth=depth,
        tone=tone(task.state),
        x=x,
        width=width,
        y=index * ROW + (ROW - _BAR_HEIGHT) / 2,
        duration=duration,
        title=title,
        depends_on=depends_on,
    )


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the dependency lines: down from the end of a task, then across to the start of a task that needs it."""
    ends = {
        row.task.id: (index, row.x + row.width) for index, row in enumerate(rows) if row.x is not None and row.width
    }
    for index, row in enumerate(rows):
        for number in row.task.needs:
            if number not in ends:
                continue
            above, end = ends[number]
            # A task that never started has no bar: its line ends straight below, in its row.
            start = end if row.x is None else row.x
            yield f"M{min(end, start):g} {above * ROW + ROW / 2:g}V{index * ROW + ROW / 2:g}H{start:g}"
