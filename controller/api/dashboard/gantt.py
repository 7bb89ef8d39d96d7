"""Geometry of the tasks of a run on a common time, with lines from each to those that needed its result.

Numbers and words only: the template draws them. Lengths across are thousandths of the whole width, so that the picture
fits every screen; rows have a fixed height in pixels, that of the list of names beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.api.dashboard.template_filters import seconds, tone
from controller.model.task_runs import TaskRun

ROW = 26
WIDTH = 1000
MOST_ROWS = 200
MOST_LINES = 500
TICKS = 4
_THICK = 14
_LEAST = 3.0
_DEEPEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task or flow; `x` and `width` are None before it begins. `depth` is how far below the first it was called."""

    task: TaskRun
    depth: int
    tone: str
    x: float | None
    width: float | None
    y: float
    took: str
    title: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """`paths` are the lines of SVG; `ticks` the times from the beginning, evenly over the width."""

    rows: tuple[Row, ...]
    height: int
    paths: tuple[str, ...]
    ticks: tuple[str, ...]
    left_out: int

    @property
    def thick(self) -> int:
        """How high a bar is."""
        return _THICK

    @property
    def summary(self) -> str:
        """In words, how many of them there are in which state."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.task.state] = counts.get(row.task.state, 0) + 1
        said = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
        return f"{len(self.rows)} tasks over {self.ticks[-1]}: {said}"


def gantt(tasks: Sequence[TaskRun], now: datetime) -> Gantt | None:
    """A picture of these, in the order in which they were called; None if none has begun. What runs ends `now`."""
    shown = tasks[:MOST_ROWS]
    starts = [one.started_at for one in shown if one.started_at is not None]
    if not starts:
        return None
    begin = min(starts)
    end = max((one.finished_at or now for one in shown if one.started_at is not None), default=now)
    whole = max(end - begin, timedelta(milliseconds=1))
    labels = {one.id: one.label for one in tasks}
    depths: dict[int, int] = {}
    rows = []
    for index, one in enumerate(shown):
        depths[one.id] = min(_DEEPEST, depths.get(one.parent or 0, -1) + 1)
        rows.append(_row(one, index, begin=begin, whole=whole, now=now, depth=depths[one.id], labels=labels))
    ticks = tuple(seconds(whole.total_seconds() * index / TICKS) for index in range(TICKS + 1))
    return Gantt(
        rows=tuple(rows),
        height=len(rows) * ROW,
        paths=tuple(_lines(rows))[:MOST_LINES],
        ticks=ticks,
        left_out=len(tasks) - len(shown),
    )


def _row(
    one: TaskRun,
    index: int,
    *,
    begin: datetime,
    whole: timedelta,
    now: datetime,
    depth: int,
    labels: dict[int, str],
) -> Row:
    needs = tuple(labels[need] for need in one.needs if need in labels)
    x = width = None
    took = words = ""
    if one.started_at is not None:
        lasted = max((one.finished_at or now) - one.started_at, timedelta(0))
        took = seconds(lasted.total_seconds())
        away = one.started_at - begin
        width = round(max(_LEAST, lasted / whole * WIDTH), 1)
        x = round(min(away / whole * WIDTH, WIDTH - width), 1)
        words = f", {took} from +{seconds(away.total_seconds())}"
    title = f"{one.label}: {one.state.replace('_', ' ')}{words}"
    if needs:
        title += f"; needs {', '.join(needs[:10])}"
    return Row(
        task=one,
        depth=depth,
        tone=tone(one.state),
        x=x,
        width=width,
        y=index * ROW + (ROW - _THICK) / 2,
        took=took,
        title=title,
        needs=needs,
    )


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Down from the end of what is needed, then across to the beginning of what needed it."""
    ends = {
        row.task.id: (index, row.x + row.width) for index, row in enumerate(rows) if row.x is not None and row.width
    }
    for index, row in enumerate(rows):
        for need in row.task.needs:
            if need not in ends:
                continue
            above, end = ends[need]
            # What was skipped has no place of its own: the lines lead to the height of its name.
            start = end if row.x is None else row.x
            yield f"M{min(end, start):g} {above * ROW + ROW / 2:g}V{index * ROW + ROW / 2:g}H{start:g}"
