"""Looks up the names of deployments and tags that users pass, and explains why a name can't be found.

`api`, `runs`, `queries` and `cli` raise the errors that are created here, so that their messages agree.
"""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any

from sqlalchemy import exists, select

from controller.errors import NotFoundError, ScheduleError, unknown_deployment
from controller.model.findings import Finding, Severity
from controller.schedules import shared_zone
from controller.store import commits, events, inventory, source_status
from controller.store.run_search import run_tags
from controller.store.schema import events as events_table
from controller.store.schema import inventory as inventory_table
from controller.store.schema import occurrences, renames, runs
from controller.store.store import Transaction
from controller.text import closest
from controller.time_format import format_time

OTHER_SUBJECTS = frozenset({"source", "controller"})
"""Subjects of events other than deployments."""

_EVENTS_READ = 20
_TAGS_SHOWN = 20


def is_recorded(tx: Transaction, name: str) -> bool:
    """Return whether this is the name of an active, a deleted or a not yet valid deployment."""
    columns = (inventory_table.c.name, runs.c.deployment, occurrences.c.deployment, events_table.c.about)
    conditions = [exists().where(column.table.c.project == tx.project, column == name) for column in columns]
    has_record = any(tx.connection.execute(select(condition)).scalar() for condition in conditions)
    return has_record or _finding(tx, name) is not None


def check_recorded(tx: Transaction, name: str) -> None:
    """Raise NotFoundError if nothing is recorded about a deployment of this name."""
    if not is_recorded(tx, name):
        raise not_active(tx, name)


def check_subject(tx: Transaction, name: str) -> None:
    """Raise NotFoundError if no event can be about a subject of this name."""
    if name not in OTHER_SUBJECTS and not is_recorded(tx, name):
        raise not_active(tx, name, others=OTHER_SUBJECTS)


def check_tag(tx: Transaction, tag: str) -> None:
    """Raise NotFoundError for a tag that no active deployment and no run has."""
    declared = (entry.document.get("tags") for entry in inventory.entries(tx).values())
    existing = {str(item) for tags in declared if isinstance(tags, list | tuple) for item in tags}
    if tag not in existing:
        existing |= run_tags(tx)
    if tag not in existing:
        matches = closest(tag, sorted(existing))
        some = ", ".join(sorted(existing)[:_TAGS_SHOWN]) or "none"
        hint = f"Did you mean {matches[0]}?" if matches else f"Existing tags: {some}."
        raise NotFoundError(f"No deployment and no run has the tag {tag!r}.", hint=hint)


def not_active(tx: Transaction, name: str, *, others: Iterable[str] = ()) -> NotFoundError:
    """Return the error for a name that no active deployment has: it was never valid, was deleted, or is misspelled.

    `others` are further names to suggest, besides those of the active deployments.
    """
    finding = _finding(tx, name)
    if finding is not None:
        location = f"{finding.file}:{finding.line}:{finding.column}"
        return NotFoundError(f"{name} is not active: {location}: {finding.message}.", hint=finding.hint)
    removed, entry = inventory.removal_time(tx, name), inventory.find_removed(tx, name)
    if removed is None or entry is None:
        return _unknown_name_error(tx, name, others)
    revision, commit = deleting_revision(tx, name), commits.find(tx, entry.changed_in)
    cause = "" if revision is None else f" by {revision}"
    if revision is not None and commit is not None:
        label = revision.rpartition(":")[0]
        cause = f' by {label}:{commit.sha} ("{commit.subject}", {commit.author})'
    return NotFoundError(
        f"There is no deployment {name!r}: it was deleted at {format_time(removed, _zone(entry.document))}{cause}.",
        hint=f"`controller restore {name}` prints its last document. Commit it to get the deployment back.",
    )


def deleting_revision(tx: Transaction, name: str) -> str | None:
    """Return the revision that deleted this deployment, if that is still recorded."""
    recent = events.latest(tx, _EVENTS_READ, about=name)
    return next((event.revision for event in recent if event.reason == "Pruned"), None)


def _zone(document: Mapping[str, Any]) -> tzinfo | None:
    """Return the time zone that all schedules in this document share; None if they differ, or there are none."""
    schedules = document.get("schedules") or [document.get("schedule")]
    default = document.get("timezone", "UTC")
    try:
        return shared_zone(schedule.get("timezone", default) for schedule in schedules if isinstance(schedule, Mapping))
    except (ScheduleError, TypeError):
        return None


def _finding(tx: Transaction, name: str) -> Finding | None:
    """Return the first error of a deployment that is declared but not active."""
    source = source_status.find(tx)
    if source is None or inventory.find(tx, name) is not None:
        return None
    errors = (finding for finding in source.findings if finding.severity is Severity.ERROR)
    return next((finding for finding in errors if finding.deployment == name), None)


def _was_renamed(tx: Transaction, name: str) -> bool:
    is_name = (renames.c.project == tx.project, renames.c.old_name == name)
    return tx.connection.execute(select(renames.c.old_name).where(*is_name)).first() is not None


def _unknown_name_error(tx: Transaction, name: str, others: Iterable[str]) -> NotFoundError:
    source = source_status.find(tx)
    declared = () if source is None else (finding.deployment for finding in source.findings)
    entries = inventory.entries(tx)
    successor = next((new for new, entry in entries.items() if entry.document.get("renamed_from") == name), None)
    if successor is not None and _was_renamed(tx, name):
        message = f"There is no deployment {name!r}: it was renamed to {successor}."
        return NotFoundError(message, hint=f"Use {successor}, which has its history.")
    names = {*entries, *filter(None, declared), *others}
    error = unknown_deployment(name, sorted(names))
    if error.hint is not None and error.hint.startswith("Did you mean"):
        return error
    return unknown_deployment(name, sorted({*names, *inventory.tombstone_names(tx)}))
