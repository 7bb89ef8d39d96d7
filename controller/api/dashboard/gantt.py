"""Geometry of the Gantt chart of a run's tasks, with lines from each row to those that use its results.

Only coordinates and texts are computed here; the template draws them. Horizontal lengths are thousandths of the total
width, so that the chart fits every screen; rows have a fixed height in pixels, equal to that of the list of task names.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from controller.api.dashboard.task_groups import TaskGroup
from controller.api.dashboard.template_filters import seconds, tone
from controller.model.task_runs import TaskRun
from controller.records import dataclass

ROW = 26
WIDTH = 1000
MAX_ROWS = 200
MAX_LINES = 500
MAX_BARS = 200
TICKS = 4
_BAR_HEIGHT = 14
_MIN_WIDTH = 3.0
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The bar of one call that has started, at `x`."""

    x: float
    width: float
    tone: str
    title: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call of a task or flow, or a group of calls; `depth` is its level below the outermost flow.

    `bars` has the started calls, those that did not succeed last, so that they are visible; of a very large group only
    these. An open group has none, since its calls have rows of their own.
    """

    group: TaskGroup
    depth: int
    y: float
    bars: tuple[Bar, ...]
    duration: str
    title: str

    @property
    def task(self) -> TaskRun:
        """The call, or the first call of a group."""
        return self.group.tasks[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """A laid-out chart.

    `paths` is the SVG path data of the dependency lines, `ticks` are evenly spaced labels of elapsed time,
    and `left_out` is the number of rows beyond `MAX_ROWS`.
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
            for task in () if row.group.is_member else row.group.tasks:
                counts[task.state] = counts.get(task.state, 0) + 1
        by_state = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
        return f"{sum(counts.values())} tasks in {self.ticks[-1]}: {by_state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """The time axis. A call that is running ends at `now`."""

    begin: datetime
    span: timedelta
    now: datetime

    def elapsed(self, task: TaskRun) -> timedelta:
        return max((task.finished_at or self.now) - (task.started_at or self.now), timedelta(0))

    def bar(self, task: TaskRun, title: str) -> Bar:
        offset = (task.started_at or self.begin) - self.begin
        width = round(max(_MIN_WIDTH, self.elapsed(task) / self.span * WIDTH), 1)
        x = round(min(offset / self.span * WIDTH, WIDTH - width), 1)
        return Bar(x=x, width=width, tone=tone(task.state), title=title, kind=task.kind)


def gantt(groups: Sequence[TaskGroup], tasks: Sequence[TaskRun], now: datetime) -> Gantt | None:
    """Lay out these rows; bars of running tasks end at `now`. Return None if no task has started.

    `tasks` are all calls of the run: a row also names the tasks that it depends on if these have no row.
    """
    drawn = groups[:MAX_ROWS]
    started = [task for group in drawn for task in group.tasks if task.started_at is not None]
    starts = [task.started_at for task in started if task.started_at is not None]
    if not starts:
        return None
    begin = min(starts)
    end = max(task.finished_at or now for task in started)
    axis = _Axis(begin=begin, span=max(end - begin, timedelta(milliseconds=1)), now=now)
    labels = {task.id: task.label for task in tasks}
    depths: dict[int, int] = {}
    rows = []
    for index, group in enumerate(drawn):
        depth = min(_MAX_DEPTH, depths.get(group.tasks[0].parent or 0, -1) + 1 + group.is_member)
        depths.update((task.id, depth) for task in group.tasks)
        rows.append(_row(group, index, axis=axis, depth=depth, labels=labels))
    ticks = tuple(seconds(axis.span.total_seconds() * index / TICKS) for index in range(TICKS + 1))
    return Gantt(
        rows=tuple(rows),
        height=len(rows) * ROW,
        paths=tuple(dict.fromkeys(_lines(rows)))[:MAX_LINES],
        ticks=ticks,
        left_out=len(groups) - len(drawn),
    )


def _row(group: TaskGroup, index: int, *, axis: _Axis, depth: int, labels: Mapping[int, str]) -> Row:
    titles = {task.id: _title(task, axis, labels) for task in group.tasks}
    started = [task for task in group.tasks if task.started_at is not None and not group.is_open]
    started.sort(key=lambda task: task.state != "succeeded")
    ends = [task.finished_at or axis.now for task in group.tasks if task.started_at is not None]
    starts = [task.started_at for task in group.tasks if task.started_at is not None]
    duration = seconds(max(0.0, (max(ends) - min(starts)).total_seconds())) if starts else ""
    title = titles[group.tasks[0].id]
    if group.key:
        counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in group.counts)
        title = f"{group.label}: {counts}{f', {duration}' if duration else ''}"
    return Row(
        group=group,
        depth=depth,
        y=index * ROW + (ROW - _BAR_HEIGHT) / 2,
        bars=tuple(axis.bar(task, titles[task.id]) for task in started[-MAX_BARS:]),
        duration=duration,
        title=title,
    )


def _title(task: TaskRun, axis: _Axis, labels: Mapping[int, str]) -> str:
    title = f"{task.label}: {task.state.replace('_', ' ')}"
    if task.started_at is not None:
        offset = seconds((task.started_at - axis.begin).total_seconds())
        title += f", {seconds(axis.elapsed(task).total_seconds())}, started at +{offset}"
    needs = [labels[number] for number in task.needs if number in labels]
    if needs:
        title += f"; depends on {', '.join(needs[:10])}"
    return title


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the dependency lines: down from the end of a row, then across to the start of a row that needs it."""
    places: dict[int, tuple[int, float]] = {}
    for index, row in enumerate(rows):
        if row.bars:
            end = max(bar.x + bar.width for bar in row.bars)
            places.update((task.id, (index, end)) for task in row.group.tasks)
    for index, row in enumerate(rows):
        needs = () if row.group.is_open else (need for task in row.group.tasks for need in task.needs)
        for above, end in dict.fromkeys(places[need] for need in needs if need in places):
            # A row that never started has no bar: its line ends straight below, in its row.
            start = min((bar.x for bar in row.bars), default=end)
            yield f"M{min(end, start):g} {above * ROW + ROW / 2:g}V{index * ROW + ROW / 2:g}H{start:g}"
