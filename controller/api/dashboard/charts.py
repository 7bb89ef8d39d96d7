"""Geometry of the small pictures: the timeline of a day before and after now, the strip of the last runs, the stages.

Numbers only: the templates draw them, as SVG without any style of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from controller.api.dashboard.template_filters import seconds
from controller.queries.fire_timeline import SLOT
from controller.queries.overview import Slot
from controller.queries.runs import public_state
from controller.store.run_statistics import FAILED, Bar

HEIGHT = 96
WIDTH = 10
_LEAST = 3.0
_BAR, _STEP, _TALL, _MARK = 6, 8, 22, 5
_STAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A rectangle; `tone` is its class."""

    x: float
    y: float
    width: float
    height: float
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One half hour: what is drawn, and in words."""

    x: int
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """`now_x` is where the present is."""

    width: int
    height: int
    now_x: float
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StripBar:
    """One run of a strip; `mark` if it failed, so that it is told by more than its colour."""

    id: str
    x: int
    y: float
    height: float
    tone: str
    title: str
    mark: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBar:
    """One stage of a pass, in two hundredths of its time."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The last runs of a deployment, oldest first."""

    width: int
    height: int
    bars: tuple[StripBar, ...]
    title: str


def timeline(slots: Sequence[Slot], now: datetime) -> Timeline:
    """A picture of these half hours."""
    highest = max((slot.succeeded + slot.failed + slot.other + slot.upcoming for slot in slots), default=0) or 1
    columns = tuple(_column(index, slot, highest, now) for index, slot in enumerate(slots))
    now_x = (now - slots[0].start) / SLOT * WIDTH if slots else 0.0
    return Timeline(width=len(slots) * WIDTH, height=HEIGHT, now_x=now_x, columns=columns)


def strip_chart(bars: Sequence[Bar]) -> Strip:
    """A picture of these runs: the longer one took the higher it is, by magnitude."""
    longest = max((bar.seconds or 0 for bar in bars), default=0)
    drawn = tuple(_strip_bar(index, bar, longest) for index, bar in enumerate(bars))
    failed = sum(bar.state in FAILED for bar in bars)
    title = f"last {len(bars)} runs, {failed} failed" if bars else "no runs yet"
    return Strip(width=max(len(bars) * _STEP, 1), height=_TALL + _MARK, bars=drawn, title=title)


def stage_bars(stages: Mapping[str, float]) -> tuple[StageBar, ...]:
    """The stages of a pass (milliseconds by name) side by side, as long as they took."""
    whole = sum(stages.values()) or 1.0
    bars, x = [], 0.0
    for name, took in stages.items():
        width = took / whole * _STAGES
        bars.append(StageBar(x=round(x, 1), width=round(width, 1), title=f"{name} {took:.1f} ms"))
        x += width
    return tuple(bars)


def _column(index: int, slot: Slot, highest: int, now: datetime) -> Column:
    blocks: list[Block] = []
    top = float(HEIGHT)
    parts = ((slot.failed, "bad"), (slot.other, "busy"), (slot.succeeded, "good"), (slot.upcoming, "next"))
    total = sum(count for count, _ in parts)
    # By the square root: half hours with few runs are seen beside those with very many.
    room = math.sqrt(total / highest) * (HEIGHT - 4 * _LEAST)
    for count, name in parts:
        if count:
            tall = max(_LEAST, count / total * room)
            top -= tall
            blocks.append(
                Block(x=index * WIDTH + 1, y=round(top, 1), width=WIDTH - 2, height=round(tall, 1), tone=name)
            )
    counts = (
        (slot.succeeded, "succeeded"),
        (slot.failed, "failed"),
        (slot.other, "others"),
        (slot.upcoming, "to fire"),
    )
    said = ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing"
    away = (slot.start - now).total_seconds()
    when = (
        "now" if -SLOT.total_seconds() < away <= 0 else f"in {seconds(away)}" if away > 0 else f"{seconds(-away)} ago"
    )
    return Column(x=index * WIDTH, title=f"{when}: {said}", blocks=tuple(blocks))


def _strip_bar(index: int, bar: Bar, longest: float) -> StripBar:
    share = math.log1p(bar.seconds or 0) / math.log1p(longest) if longest > 0 else 0.0
    tall = round(5 + share * (_TALL - 5), 1)
    state = public_state(bar.state).value
    name = {"succeeded": "good", "skipped": "plain", "cancelled": "odd"}.get(
        state, "bad" if bar.state in FAILED else "busy"
    )
    took = "" if bar.seconds is None else f", {seconds(bar.seconds)}"
    return StripBar(
        id=bar.id,
        x=index * _STEP,
        y=round(_TALL - tall, 1),
        height=tall,
        tone=name,
        title=f"{state.replace('_', ' ')}{took}",
        mark=bar.state in FAILED,
    )
