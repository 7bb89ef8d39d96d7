"""Geometry of the chart on the Runs page: the duration of each run over the time at which it was created.

Only coordinates and texts are computed here; the template draws them. The x coordinates are percentages, because the
chart is as wide as the page.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from controller.api.dashboard.template_filters import seconds, tone
from controller.model.runs import FAILURES
from controller.queries.run_list import RunSummary
from controller.records import dataclass
from controller.store.run_search import RunPoint

HEIGHT = 72
_MARGIN = 5.0
_SHORTEST = 0.001
_LOG_RATIO = 20
"""A larger ratio of the longest to the shortest duration needs a logarithmic axis."""
_STEPS = 200
"""The ends of the time axis move in steps of about this part of it, so that the chart does not change all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One run. `x` is a percentage; `tone` selects colour and shape."""

    id: str
    x: float
    y: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """The chart. `top` and `bottom` are the durations at its upper and lower edge; `middle_y` is that of the median."""

    height: int
    dots: tuple[Dot, ...]
    top: str
    bottom: str
    middle_y: float | None
    first: datetime
    last: datetime
    title: str


def scatter_chart(summary: RunSummary, since: datetime | None, until: datetime) -> Scatter | None:
    """Lay out the runs that have started. Return None if there are fewer than two."""
    points = [point for point in summary.points if point.seconds is not None]
    if len(points) < 2:
        return None
    durations = [max(_SHORTEST, point.seconds or 0) for point in points]
    longest, shortest = max(durations), min(durations)
    is_logarithmic = longest > _LOG_RATIO * shortest
    low = shortest if is_logarithmic else 0.0
    is_complete = since is not None and len(summary.points) == summary.count
    first, last = _axis(points, since if is_complete else None, until)

    def height_of(duration: float) -> float:
        share = math.log(duration / low) / math.log(longest / low) if is_logarithmic else duration / longest
        return round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 1)

    dots = [
        _dot(point, duration, (point.created_at - first) / (last - first), height_of(duration))
        for point, duration in zip(points, durations, strict=True)
    ]
    median = summary.median_seconds
    failed = sum(point.state in FAILURES for point in points)
    scale = ", logarithmic scale" if is_logarithmic else ""
    return Scatter(
        height=HEIGHT,
        dots=tuple(dots),
        top=seconds(longest),
        bottom=seconds(low),
        middle_y=None if median is None else height_of(max(low or _SHORTEST, median)),
        first=first,
        last=last,
        title=f"Duration of {len(points)} runs over time{scale}: {failed} failed, the longest took {seconds(longest)}",
    )


def _axis(points: Sequence[RunPoint], since: datetime | None, until: datetime) -> tuple[datetime, datetime]:
    """Return both ends of the time axis, as aware UTC datetimes."""
    start = min(since or points[0].created_at, points[0].created_at).timestamp()
    end = max(until, points[-1].created_at).timestamp()
    step = 2.0 ** math.ceil(math.log2(max(1.0, (end - start) / _STEPS)))
    first, last = math.floor(start / step) * step, math.floor(end / step + 1) * step
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def _dot(point: RunPoint, duration: float, share: float, y: float) -> Dot:
    state = point.state.replace("_", " ")
    title = f"{point.deployment}: {state}, {seconds(duration)}"
    return Dot(id=point.id, x=round(share * 100, 2), y=y, tone=tone(point.state), title=title)
