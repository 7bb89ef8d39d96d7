"""Geometry of the small charts: last runs, bars of parts such as the progress of a backfill, the stages of a pass.

Only coordinates and titles are computed here; the templates draw them as SVG without inline styles.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from controller.api.dashboard.template_filters import seconds, tone
from controller.model.backfills import BackfillProgress
from controller.model.runs import FAILURES
from controller.records import dataclass
from controller.store.run_statistics import Bar

_STEP, _STRIP_HEIGHT, _MARK = 8, 22, 5
_STAGES_WIDTH = 200
PROGRESS_WIDTH = 100
_MIN_SEGMENT = 1.0
_TYPICAL_WIDTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBar:
    """One run of a chart. `mark` is set for failed runs, so that colour is not the only difference."""

    id: str
    x: int
    y: float
    height: float
    tone: str
    title: str
    mark: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBar:
    """One stage of a reconcile pass; the whole pass is 200 units wide."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The last runs of a deployment, oldest first."""

    width: int
    height: int
    bars: tuple[RunBar, ...]
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part of a bar of counts, such as the due times in one state; `x` and `width` are percentages."""

    name: str
    count: int
    tone: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationShare:
    """A duration compared with the usual one, which is half of the 40 units. `is_long`: twice that or more."""

    width: float
    title: str
    is_long: bool


def duration_share(duration: float, typical: float) -> DurationShare:
    """Lay out the bar of a duration; both in seconds, `typical` is not 0."""
    ratio = duration / typical
    width = round(max(1.0, min(ratio, 2.0) * _TYPICAL_WIDTH), 1)
    factor = f"{ratio:.1f} times" if ratio < 10 else f"{ratio:.0f} times"
    title = f"{factor} the usual {seconds(typical)}"
    return DurationShare(width=width, title=title, is_long=ratio >= 2)


def progress_bar(progress: BackfillProgress) -> tuple[Segment, ...]:
    """Lay out the progress bar of a backfill. Each state that occurs has a segment of visible width."""
    states = (
        ("done", progress.done, "good"),
        ("failed", progress.failed, "bad"),
        ("cancelled", progress.cancelled, "warn"),
        ("running", progress.running, "busy"),
        ("waiting", progress.waiting, "plain"),
    )
    return stacked_bar(states)


def stacked_bar(counts: Iterable[tuple[str, int, str]]) -> tuple[Segment, ...]:
    """Lay out these counts side by side, each with its name and its CSS class; zeros are left out."""
    parts = [part for part in counts if part[1]]
    total = sum(count for _, count, _ in parts)
    segments, x = [], 0.0
    for name, count, css_class in parts:
        share = count / total * (PROGRESS_WIDTH - len(parts) * _MIN_SEGMENT)
        width = _MIN_SEGMENT + share
        segments.append(Segment(name=name, count=count, tone=css_class, x=round(x, 2), width=round(width, 2)))
        x += width
    return tuple(segments)


def strip_chart(bars: Sequence[Bar]) -> Strip:
    """Lay out the strip of these runs; bar heights follow the logarithm of the duration."""
    longest = max((bar.seconds or 0 for bar in bars), default=0)
    strip_bars = tuple(_strip_bar(index, bar, longest) for index, bar in enumerate(bars))
    failed = sum(bar.state in FAILURES for bar in bars)
    title = f"last {len(bars)} runs, {failed} failed" if bars else "no runs yet"
    return Strip(width=max(len(bars) * _STEP, 1), height=_STRIP_HEIGHT + _MARK, bars=strip_bars, title=title)


def stage_bars(stages: Mapping[str, float]) -> tuple[StageBar, ...]:
    """Lay out the stages of a pass (milliseconds by name) side by side, with widths proportional to their duration."""
    total = sum(stages.values()) or 1.0
    bars, x = [], 0.0
    for name, duration in stages.items():
        width = duration / total * _STAGES_WIDTH
        bars.append(StageBar(x=round(x, 1), width=round(width, 1), title=f"{name} {duration:.1f} ms"))
        x += width
    return tuple(bars)


def _strip_bar(index: int, bar: Bar, longest: float) -> RunBar:
    share = math.log1p(bar.seconds or 0) / math.log1p(longest) if longest > 0 else 0.0
    height = round(5 + share * (_STRIP_HEIGHT - 5), 1)
    state = bar.state.public.value
    duration = "" if bar.seconds is None else f", {seconds(bar.seconds)}"
    return RunBar(
        id=bar.id,
        x=index * _STEP,
        y=round(_STRIP_HEIGHT - height, 1),
        height=height,
        tone=tone(state),
        title=f"{state.replace('_', ' ')}{duration}",
        mark=bar.state in FAILURES,
    )
