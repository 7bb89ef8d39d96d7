"""Names that people give: is anything recorded under this one, and what is there to say if not?

`api`, `runs`, `queries` and `cli` raise the errors that are made here, so that each of them says the same.
"""

import difflib
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any

from sqlalchemy import exists, select

from controller.errors import NotFoundError, ScheduleError, unknown_deployment
from controller.model.findings import Finding, Severity
from controller.schedules import shared_zone
from controller.store import events, inventory, source_status
from controller.store.run_search import run_tags
from controller.store.schema import events as events_table
from controller.store.schema import inventory as inventory_table
from controller.store.schema import occurrences, runs
from controller.store.store import Transaction
from controller.time_format import shown

OTHER_SUBJECTS = frozenset({"source", "controller"})
"""What events are about when they are not about a deployment."""

_EVENTS_READ = 20
_TAGS_SHOWN = 20


def is_recorded(tx: Transaction, name: str) -> bool:
    """Whether this is the name of a deployment, or was, or is meant to be once its document is valid."""
    columns = (inventory_table.c.name, runs.c.deployment, occurrences.c.deployment, events_table.c.about)
    found = [exists().where(column.table.c.project == tx.project, column == name) for column in columns]
    is_there = any(tx.connection.execute(select(one)).scalar() for one in found)
    return is_there or _finding(tx, name) is not None


def check_recorded(tx: Transaction, name: str) -> None:
    """Raise NotFoundError for the name of a deployment of which nothing is recorded."""
    if not is_recorded(tx, name):
        raise not_active(tx, name)


def check_subject(tx: Transaction, name: str) -> None:
    """The same for what events may be about."""
    if name not in OTHER_SUBJECTS and not is_recorded(tx, name):
        raise not_active(tx, name, others=OTHER_SUBJECTS)


def check_tag(tx: Transaction, tag: str) -> None:
    """Raise NotFoundError for a tag that no active deployment and no run has."""
    declared = (entry.document.get("tags") for entry in inventory.entries(tx).values())
    known = {str(one) for tags in declared if isinstance(tags, list | tuple) for one in tags}
    if tag not in known:
        known |= run_tags(tx)
    if tag not in known:
        near = difflib.get_close_matches(tag, sorted(known), 1)
        some = ", ".join(sorted(known)[:_TAGS_SHOWN]) or "none"
        some = ", ".join(sorted(known)[:_TAGS_SHOWN]) or "none"
        hint = f"Did you mean {near[0]}?" if near else f"Known tags: {some}."
        raise NotFoundError(f"No deployment and no run has the tag {tag!r}.", hint=hint)


def not_active(tx: Transaction, name: str, *, others: Iterable[str] = ()) -> NotFoundError:
    """The error for a name that no active deployment has: it was never valid, it was deleted, or it is misspelt.

    `others` are names that could have been meant beside those of the active deployments.
    """
    finding = _finding(tx, name)
    if finding is not None:
        where = f"{finding.file}:{finding.line}:{finding.column}"
        return NotFoundError(f"{name} is not in force: {where}: {finding.message}.", hint=finding.hint)
    removed, entry = inventory.removed_at(tx, name), inventory.find_removed(tx, name)
    if removed is None or entry is None:
        return _misspelt(tx, name, others)
    revision = deleted_by(tx, name)
    commit = "" if revision is None else f" by {revision}"
    return NotFoundError(
        f"There is no deployment {name!r}: it was deleted at {shown(removed, _zone(entry.document))}{commit}.",
        hint=f"`controller restore {name}` prints its last document. Commit that to have the deployment again.",
    )


def deleted_by(tx: Transaction, name: str) -> str | None:
    """The revision that deleted this deployment, if that is still recorded."""
    about = events.latest(tx, _EVENTS_READ, about=name)
    return next((event.revision for event in about if event.reason == "Pruned"), None)


def _zone(document: Mapping[str, Any]) -> tzinfo | None:
    """The one time zone of the schedules in this document, None for several and for none."""
    schedules = document.get("schedules") or [document.get("schedule")]
    try:
        return shared_zone(one.get("timezone", "UTC") for one in schedules if isinstance(one, Mapping))
    except (ScheduleError, TypeError):
        return None


def _finding(tx: Transaction, name: str) -> Finding | None:
    """The first error of a declared deployment that is not active."""
    source = source_status.find(tx)
    if source is None or inventory.find(tx, name) is not None:
        return None
    errors = (finding for finding in source.findings if finding.severity is Severity.ERROR)
    return next((finding for finding in errors if finding.deployment == name), None)


def _misspelt(tx: Transaction, name: str, others: Iterable[str]) -> NotFoundError:
    source = source_status.find(tx)
    declared = () if source is None else (one.deployment for one in source.findings)
    known = {*inventory.entries(tx), *filter(None, declared), *others}
    error = unknown_deployment(name, sorted(known))
    if error.hint is not None and error.hint.startswith("Did you mean"):
        return error
    return unknown_deployment(name, sorted({*known, *inventory.removed_names(tx)}))
