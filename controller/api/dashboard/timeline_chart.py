"""Geometry of the overview's timeline: failed runs above the axis, all others and the next fire times below it.

Both sides have a scale of their own, so that no number of successes hides a failure. The template draws it as SVG.
"""

import math
from collections.abc import Sequence
from datetime import datetime

from controller.api.dashboard.template_filters import seconds
from controller.queries.fire_timeline import SLOT
from controller.queries.overview import Slot
from controller.records import dataclass

AXIS = 46
HEIGHT = 112
WIDTH = 10
_MIN_HEIGHT = 3.0
_SPARK_HEIGHT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A rectangle of the timeline; `tone` is its CSS class."""

    x: float
    y: float
    width: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One half hour of the timeline, with its tooltip. `is_past` is false for those that begin after now."""

    x: int
    title: str
    blocks: tuple[Block, ...]
    start: datetime
    end: datetime
    is_past: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The timeline; `now_x` is the x coordinate of now. `most_failed` and `most_others` are the ends of the scales."""

    width: int
    height: int
    axis: int
    now_x: float
    columns: tuple[Column, ...]
    most_failed: int
    most_others: int


def timeline(slots: Sequence[Slot], now: datetime) -> Timeline:
    """Lay out the timeline of these half hours."""
    most_failed = max((slot.failed for slot in slots), default=0)
    most_others = max((slot.succeeded + slot.other + slot.upcoming.count for slot in slots), default=0)
    return Timeline(
        width=len(slots) * WIDTH,
        height=HEIGHT,
        axis=AXIS,
        now_x=(now - slots[0].start) / SLOT * WIDTH if slots else 0.0,
        columns=tuple(_column(index, slot, most_failed, most_others, now) for index, slot in enumerate(slots)),
        most_failed=most_failed,
        most_others=most_others,
    )


def success_spark(slots: Sequence[Slot], now: datetime) -> tuple[Block, ...]:
    """Lay out the runs of the last 24 hours as a small picture: one bar per hour, its lower part the failed share."""
    past = [slot for slot in slots if slot.start <= now]
    hours = [past[index : index + 2] for index in range(0, len(past), 2)]
    blocks: list[Block] = []
    for index, hour in enumerate(hours):
        failed, total = sum(slot.failed for slot in hour), sum(slot.failed + slot.succeeded for slot in hour)
        if not total:
            continue
        bad = max(_MIN_HEIGHT, failed / total * _SPARK_HEIGHT) if failed else 0.0
        for tone, top, bottom in (("good", 0.0, _SPARK_HEIGHT - bad), ("bad", _SPARK_HEIGHT - bad, _SPARK_HEIGHT)):
            if bottom > top:
                blocks.append(Block(x=index * 4, y=round(top, 1), width=3, height=round(bottom - top, 1), tone=tone))
    return tuple(blocks)


def _column(index: int, slot: Slot, most_failed: int, most_others: int, now: datetime) -> Column:
    x, blocks = index * WIDTH + 1, []
    if slot.failed:
        height = _height(slot.failed, most_failed, AXIS - 2)
        blocks.append(Block(x=x, y=round(AXIS - height, 1), width=WIDTH - 2, height=round(height, 1), tone="bad"))
    parts = ((slot.succeeded, "good"), (slot.other, "busy"), (slot.upcoming.count, "next"))
    total = sum(count for count, _ in parts)
    column_height, y = _height(total, most_others, HEIGHT - AXIS - 2 * _MIN_HEIGHT), float(AXIS)
    for count, css_class in parts:
        if count:
            height = max(_MIN_HEIGHT, count / total * column_height)
            blocks.append(Block(x=x, y=round(y, 1), width=WIDTH - 2, height=round(height, 1), tone=css_class))
            y += height
    return Column(
        x=index * WIDTH,
        title=_title(slot, now),
        blocks=tuple(blocks),
        start=slot.start,
        end=slot.start + SLOT,
        is_past=slot.start <= now,
    )


def _height(count: int, most: int, available: float) -> float:
    """Return the height of a column. The square root keeps small counts visible beside very large ones."""
    return max(_MIN_HEIGHT, math.sqrt(count / most) * available) if count else 0.0


def _title(slot: Slot, now: datetime) -> str:
    counts = ((slot.failed, "failed"), (slot.succeeded, "succeeded"), (slot.other, "other"))
    parts = [f"{count} {label}" for count, label in counts if count]
    if slot.upcoming.count:
        names = [name for _, name in slot.upcoming.first]
        more = f" and {slot.upcoming.count - len(names)} more" if slot.upcoming.count > len(names) else ""
        parts.append(f"{', '.join(names)}{more} due")
    away = (slot.start - now).total_seconds()
    when = (
        "now" if -SLOT.total_seconds() < away <= 0 else f"in {seconds(away)}" if away > 0 else f"{seconds(-away)} ago"
    )
    return f"{when}: {', '.join(parts) or 'no runs'}"
