"""Carries out a plan: one transaction for one revision. Called by the reconciler only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from controller.model.deployments import Deployment
from controller.model.status import Condition, InventoryEntry, SourceStatus, Withheld
from controller.reconcile import status
from controller.reconcile.plan import Kept, Plan, Update
from controller.store import Transaction, events, inventory, source_status

TOMBSTONES = timedelta(days=30)
"""How long what left the repository can be restored."""


class Settle(Protocol):
    """Decide about what is due by now under the declaration that is in force, before it changes or goes."""

    def __call__(self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> object:
        """Account for these deployments."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The source's new status, the entries that were written by name, and the names that are gone."""

    status: SourceStatus
    written: Mapping[str, InventoryEntry]
    gone: frozenset[str]


def apply(tx: Transaction, plan: Plan, before: SourceStatus, now: datetime, settle: Settle) -> Applied:
    """Make the record say what the plan says."""
    settle(tx, [update.before.name for update in plan.update if update.is_rescheduled], now)
    settle(tx, [entry.name for entry in plan.delete], now, pruned=True)
    inventory.remove(tx, [entry.name for entry in plan.delete], now)
    for update in plan.update:
        if update.is_renamed:
            inventory.rename(tx, update.before.name, update.after.name)
    counted_from_now = [_entry(new, plan, now) for new in plan.create]
    counted_from_now += [_updated(update, plan, now) for update in plan.update if update.is_rescheduled]
    counted_on = [_updated(update, plan, now) for update in plan.update if not update.is_rescheduled]
    inventory.save(tx, counted_from_now)
    inventory.update_keeping_cursor(tx, counted_on)
    kept = [entry for one in plan.keep if (entry := _keep(tx, one, before, now)) is not None]
    if plan.delete:
        inventory.delete_removed(tx, now - TOMBSTONES)
    new = _status(plan, before, now)
    events.append(tx, status.plan_events(plan, now))
    events.append(tx, status.source_events(before.conditions, new.conditions, plan.revision, now))
    source_status.save(tx, new)
    return Applied(
        status=new,
        written={entry.name: entry for entry in (*counted_from_now, *counted_on, *kept)},
        gone=frozenset(
            (*(entry.name for entry in plan.delete), *(one.before.name for one in plan.update if one.is_renamed))
        ),
    )


def _status(plan: Plan, before: SourceStatus, now: datetime) -> SourceStatus:
    return SourceStatus(
        repo=before.repo,
        ref=before.ref,
        revision=plan.revision,
        last_attempted_revision=plan.revision,
        last_applied_revision=before.last_applied_revision if plan.is_blocked else plan.revision,
        conditions=status.applied(plan, now, before.conditions),
        findings=plan.findings[: status.MAX_FINDINGS],
        withheld=_withheld(plan, before),
        followed=before.followed,
        watch_problem=before.watch_problem,
        environment=before.environment,
    )


def _withheld(plan: Plan, before: SourceStatus) -> Withheld | None:
    """What is withheld; still under the digest of the plan in which it was first."""
    new, old = plan.withheld, before.withheld
    return old if new is not None and old is not None and new.digest == old.digest else new


def _updated(update: Update, plan: Plan, now: datetime) -> InventoryEntry:
    before = update.before
    entry = _entry(update.after, plan, now, before.conditions)
    changed = entry.spec_digest != before.spec_digest
    cursor = now if update.is_rescheduled else before.cursor
    return replace(entry, generation=before.generation + changed, cursor=cursor)


def _entry(deployment: Deployment, plan: Plan, now: datetime, before: Iterable[Condition] = ()) -> InventoryEntry:
    return InventoryEntry(
        name=deployment.name,
        file=deployment.file,
        line=deployment.line,
        document=deployment.document,
        spec_digest=deployment.spec_digest,
        revision=plan.revision,
        cursor=now,
        conditions=status.ready(True, "Applied", f"Declared in {deployment.file}:{deployment.line}.", now, before),
    )


def _keep(tx: Transaction, kept: Kept, before: SourceStatus, now: datetime) -> InventoryEntry | None:
    """The entry with its new marks, written if they are new."""
    entry = kept.entry
    pinned = entry.pinned or before.last_applied_revision or entry.revision
    conditions = status.kept(kept, now)
    if (pinned, conditions) == (entry.pinned, entry.conditions):
        return None
    inventory.save_conditions(tx, entry.name, pinned=pinned, status=conditions)
    return replace(entry, pinned=pinned, conditions=conditions)
