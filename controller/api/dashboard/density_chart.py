"""Geometry of the strip that shows how often a deployment fires in each half hour of a day."""

from datetime import datetime
from zoneinfo import ZoneInfo

from controller.queries.fire_calendar import FireDensity
from controller.queries.fire_timeline import SLOT
from controller.records import dataclass
from controller.time_format import format_time

HEIGHT = 40
STEP = 10
_BAR = 8
_MIN_HEIGHT = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityBar:
    """Half an hour in which the deployment fires."""

    x: int
    y: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityChart:
    """The strip; `ticks` are the times of its labels: its start, its quarters and its end."""

    width: int
    height: int
    bars: tuple[DensityBar, ...]
    ticks: tuple[datetime, ...]
    total: int
    highest: int


def density_chart(density: FireDensity, timezone: str) -> DensityChart:
    """Lay out the strip. The titles of its bars have the time in this time zone."""
    highest = max(1, *density.counts)
    bars = tuple(
        _bar(index, number, highest, format_time(density.start + index * SLOT, ZoneInfo(timezone), timespec="minutes"))
        for index, number in enumerate(density.counts)
        if number
    )
    slots = len(density.counts)
    return DensityChart(
        width=slots * STEP,
        height=HEIGHT,
        bars=bars,
        ticks=tuple(density.start + slots * quarter // 4 * SLOT for quarter in range(5)),
        total=density.total,
        highest=highest,
    )


def _bar(index: int, number: int, highest: int, at: str) -> DensityBar:
    height = round(max(_MIN_HEIGHT, number / highest * HEIGHT), 1)
    return DensityBar(
        x=index * STEP + (STEP - _BAR) // 2,
        y=round(HEIGHT - height, 1),
        height=height,
        title=f"{number} fire time{'' if number == 1 else 's'} in the half hour from {at}",
    )
