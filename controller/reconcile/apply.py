"""Carries out a plan: one transaction for one revision. Called by the reconciler only."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from controller.model.deployments import Deployment
from controller.model.status import Condition, InventoryEntry, SourceStatus
from controller.reconcile import status
from controller.reconcile.plan import Kept, Plan, Update
from controller.store import Transaction, events, inventory, sources


class Settle(Protocol):
    """Decide about what is due by now under the declaration that is in force, before it changes or goes."""

    def __call__(self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> object:
        """Account for these deployments."""
        ...


def apply(
    tx: Transaction, plan: Plan, recorded: Iterable[InventoryEntry], before: SourceStatus, now: datetime, settle: Settle
) -> SourceStatus:
    """Make the record say what the plan says; returns the source's new status."""
    settle(tx, [update.before.name for update in plan.update if update.is_rescheduled], now)
    settle(tx, [entry.name for entry in plan.delete], now, pruned=True)
    inventory.remove(tx, [entry.name for entry in plan.delete], now)
    counted_from_now = [_entry(new, plan, now) for new in plan.create]
    counted_from_now += [_updated(update, plan, now) for update in plan.update if update.is_rescheduled]
    inventory.put(tx, counted_from_now)
    inventory.revise(tx, [_updated(update, plan, now) for update in plan.update if not update.is_rescheduled])
    for kept in plan.keep:
        _keep(tx, kept, before, now)
    new = SourceStatus(
        repo=before.repo,
        ref=before.ref,
        revision=plan.revision,
        last_attempted_revision=plan.revision,
        last_applied_revision=plan.revision,
        conditions=status.applied(plan, now, before.conditions),
        findings=plan.findings[: status.MAX_FINDINGS],
    )
    events.append(tx, status.plan_events(plan, recorded, now))
    events.append(tx, status.source_events(before.conditions, new.conditions, plan.revision, now))
    sources.put(tx, new)
    return new


def _updated(update: Update, plan: Plan, now: datetime) -> InventoryEntry:
    return _entry(update.after, plan, now, update.before.conditions)


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


def _keep(tx: Transaction, kept: Kept, before: SourceStatus, now: datetime) -> None:
    entry = kept.entry
    pinned = entry.pinned or before.last_applied_revision or entry.revision
    conditions = status.ready(False, "InvalidManifest", kept.message, now, entry.conditions)
    if pinned != entry.pinned or conditions != entry.conditions:
        inventory.mark(tx, entry.name, pinned=pinned, status=conditions)
