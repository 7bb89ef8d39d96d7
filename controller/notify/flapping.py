"""When the next message about an incident to a channel is due, and which one it is. Pure; called by `incidents`.

- The first message is written after `group_wait`, so that it names all deployments that fail at once.
- Later changes are collected: the next message is due an hour after the last one, and later if the incident lasts
  longer. That everything has recovered is reported at once.
- What is announced for the third time within 6 hours is flapping. That is reported, and then nothing until it has
  neither failed nor recovered for an hour, or for as long as the three failures took.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.model.notifications import Announcement

WINDOW = timedelta(hours=6)
MAX_OPENINGS = 3
"""The opening within `WINDOW` that makes an incident flapping."""
SHORTEST_CALM = timedelta(hours=1)
"""How long what is flapping must neither fail nor recover, at least, to be stable."""
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(hours=1), timedelta(hours=24)


class ReportKind(StrEnum):
    """The content of a message: `opened`, `changed`, `flapping`, `settled` (fails, no longer flapping), `recovered`."""

    OPENED = "opened"
    CHANGED = "changed"
    FLAPPING = "flapping"
    SETTLED = "settled"
    RECOVERED = "recovered"


def calm(announcement: Announcement) -> timedelta:
    """Return how long what is flapping must neither fail nor recover to be stable."""
    openings = announcement.openings
    return max(openings[-1] - openings[0], SHORTEST_CALM) if openings else SHORTEST_CALM


def after_failure(
    announcement: Announcement, subject: str, *, at: datetime, due: datetime, others: Collection[str]
) -> Announcement:
    """Return the announcement after the failure of a subject at `at`, which must be reported at `due` at the earliest.

    `others` are the other members that fail.
    """
    subjects = announcement.subjects
    if announcement.flapping_since is not None:
        announcement = replace(announcement, subjects=tuple(sorted({*subjects, subject})))
        return announcement if _has(subjects, others) else _restart(announcement, at)
    if subject in subjects:
        return announcement
    if subjects:
        due = max(due, _next_update(announcement))
    return replace(announcement, due_at=min(due, announcement.due_at or due))


def after_recovery(announcement: Announcement, *, at: datetime, failing: Collection[str]) -> Announcement:
    """Return the announcement after the recovery of a subject at `at`. `failing` are the members that still fail."""
    if announcement.flapping_since is not None:
        return announcement if _has(announcement.subjects, failing) else _restart(announcement, at)
    if not announcement.subjects:
        return announcement if failing else replace(announcement, due_at=None)
    due = max(at, _next_update(announcement)) if _has(announcement.subjects, failing) else at
    return replace(announcement, due_at=min(due, announcement.due_at or due))


def after_move(announcement: Announcement, subject: str) -> Announcement:
    """Return the announcement after a subject has failed for another cause, which another incident reports."""
    others = tuple(each for each in announcement.subjects if each != subject)
    is_last = not others or announcement.flapping_since is not None
    return announcement if is_last else replace(announcement, subjects=others)


def settle(
    announcement: Announcement, failing: Collection[str], at: datetime
) -> tuple[Announcement, ReportKind | None]:
    """Return the announcement after comparing it with what is failing at `at`, and the message to write, if any."""
    if announcement.flapping_since is not None:
        return _settle_flapping(announcement, failing, at)
    reported, now_failing = set(announcement.subjects), set(failing)
    if reported == now_failing:
        return replace(announcement, due_at=None), None
    if not now_failing:
        return _close(announcement, at), ReportKind.RECOVERED
    if not reported:
        return _open(announcement, now_failing, at)
    if at < (due := _next_update(announcement)):
        return replace(announcement, due_at=due), None
    return _update(announcement, now_failing, at), ReportKind.CHANGED


def with_past_times(announcement: Announcement, now: datetime) -> Announcement:
    """Return the announcement with `now` instead of later times of what has happened."""
    names = ("announced_at", "updated_at", "flapping_since", "changed_at")
    times = {name: getattr(announcement, name) for name in names}
    late: dict[str, Any] = {name: now for name, time in times.items() if time is not None and time > now}
    return replace(announcement, **late) if late else announcement


def _next_update(announcement: Announcement) -> datetime:
    """Return the earliest time of the next message about changes, while something is failing."""
    assert announcement.updated_at is not None
    assert announcement.announced_at is not None
    pause = announcement.updated_at - announcement.announced_at
    return announcement.updated_at + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)


def _open(announcement: Announcement, failing: set[str], at: datetime) -> tuple[Announcement, ReportKind]:
    openings = (*(opening for opening in announcement.openings if opening > at - WINDOW), at)[-MAX_OPENINGS:]
    opened = replace(_update(announcement, failing, at), announced_at=at, recovered_at=None, openings=openings)
    if len(openings) < MAX_OPENINGS:
        return opened, ReportKind.OPENED
    return _restart(replace(opened, flapping_since=at), at), ReportKind.FLAPPING


def _settle_flapping(
    announcement: Announcement, failing: Collection[str], at: datetime
) -> tuple[Announcement, ReportKind | None]:
    assert announcement.changed_at is not None
    if at < (due := announcement.changed_at + calm(announcement)):
        return replace(announcement, due_at=due), None
    settled = replace(announcement, flapping_since=None, changed_at=None)
    if not failing:
        return _close(settled, at), ReportKind.RECOVERED
    return _update(settled, failing, at), ReportKind.SETTLED


def _restart(announcement: Announcement, at: datetime) -> Announcement:
    return replace(announcement, changed_at=at, due_at=at + calm(announcement))


def _update(announcement: Announcement, failing: Collection[str], at: datetime) -> Announcement:
    return replace(announcement, subjects=tuple(sorted(failing)), updated_at=at, due_at=None)


def _close(announcement: Announcement, at: datetime) -> Announcement:
    return replace(announcement, subjects=(), updated_at=at, recovered_at=at, due_at=None)


def _has(subjects: Collection[str], failing: Collection[str]) -> bool:
    return any(subject in failing for subject in subjects)
