"""Carries out a plan, in the one transaction of its revision. Called by `reconciler` only."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from controller.model.deployments import Deployment
from controller.model.python_environments import PythonEnvironment
from controller.model.status import Condition, InventoryEntry, SourceStatus, Withheld
from controller.reconcile import status
from controller.reconcile.commit_facts import CommitFacts, record_commits
from controller.reconcile.dependencies import record_dependencies
from controller.reconcile.holiday_upgrade import record_holidays
from controller.reconcile.plan import Kept, Plan, Update
from controller.records import dataclass
from controller.store import Transaction, events, inventory, source_status, webhooks


class Settle(Protocol):
    """Decide on all due times up to now by the active declarations, before these change or are deleted."""

    def __call__(self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False) -> object:
        """Settle the due times of these deployments; `pruned` means that the deployments are about to be deleted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The source's new status, the entries that were written, by name, and the names that were removed."""

    status: SourceStatus
    written: Mapping[str, InventoryEntry]
    removed: frozenset[str]


def apply(
    tx: Transaction,
    plan: Plan,
    before: SourceStatus,
    now: datetime,
    settle: Settle,
    facts: CommitFacts | None = None,
) -> Applied:
    """Write the plan's changes with their commits, the new status of the source, and the events about both."""
    facts = facts or CommitFacts()
    settle(tx, [update.before.name for update in plan.update if update.is_rescheduled], now)
    settle(tx, [entry.name for entry in plan.delete], now, pruned=True)
    removed_in = {entry.name: facts.changed_in(entry.file, entry) for entry in plan.delete}
    inventory.remove(tx, list(removed_in), now, removed_in)
    for update in plan.update:
        if update.is_renamed:
            inventory.rename(tx, update.before.name, update.after.name)
    # Due times are counted from the cursor, which is set to `now` only where schedules are new or change.
    new_cursor = [_entry(new, plan, now, changed_in=facts.changed_in(new.file)) for new in plan.create]
    new_cursor += [_update_entry(update, plan, now, facts) for update in plan.update if update.is_rescheduled]
    same_cursor = [_update_entry(update, plan, now, facts) for update in plan.update if not update.is_rescheduled]
    inventory.save(tx, new_cursor)
    inventory.update_keeping_cursor(tx, same_cursor)
    _declare_webhooks(tx, plan)
    marked = [entry for kept in plan.keep if (entry := _keep(tx, kept, before, now)) is not None]
    rebuilt = [entry for old in plan.rebuilt if (entry := _mark_python(tx, old, plan, now)) is not None]
    has_other_graph = plan.changes_anything and not plan.is_same_graph
    dependants = record_dependencies(tx, plan, now) if has_other_graph else []
    holidays = record_holidays(tx, plan, now)
    if plan.delete or any(update.is_renamed for update in plan.update):
        inventory.delete_removed(tx, now - inventory.TOMBSTONES)
    new = _status(plan, before, now)
    source_status.save(tx, new)  # first: events have its environment
    events.append(tx, status.plan_events(plan, now))
    events.append(tx, [*(status.upstream_event(entry, now, plan.revision) for entry in dependants), *holidays])
    events.append(tx, status.source_events(before.conditions, new.conditions, plan.revision, now))
    record_commits(tx, facts)
    removed = {*removed_in, *(update.before.name for update in plan.update if update.is_renamed)}
    filled = (entry for name, entry in facts.filled.items() if name not in removed)
    written = (*filled, *new_cursor, *same_cursor, *marked, *rebuilt, *dependants)
    return Applied(status=new, written={entry.name: entry for entry in written}, removed=frozenset(removed))


def _declare_webhooks(tx: Transaction, plan: Plan) -> None:
    """Record the webhooks of the deployments that the plan changes."""
    new = [*plan.create, *(update.after for update in plan.update)]
    old = [*(entry.name for entry in plan.delete), *(update.before.name for update in plan.update)]
    webhooks.remove_declared(tx, {*old, *(deployment.name for deployment in new)})
    names = {deployment.name: [webhook.name for webhook in deployment.webhooks] for deployment in new}
    webhooks.insert_declared(tx, names)


def _status(plan: Plan, before: SourceStatus, now: datetime) -> SourceStatus:
    return SourceStatus(
        repo=before.repo,
        ref=before.ref,
        revision=plan.revision,
        last_attempted_revision=plan.revision,
        last_applied_revision=before.last_applied_revision if plan.is_blocked else plan.revision,
        conditions=status.applied_conditions(plan, now, before.conditions),
        findings=plan.findings[: status.MAX_FINDINGS],
        withheld=_withheld(plan, before),
        followed=before.followed,
        watch_problem=before.watch_problem,
        environment=before.environment,
        project_name=before.project_name,
    )


def _withheld(plan: Plan, before: SourceStatus) -> Withheld | None:
    """Return the withheld deletions, with the plan digest of the plan that withheld the same ones first."""
    new, old = plan.withheld, before.withheld
    return old if new is not None and old is not None and new.digest == old.digest else new


def _update_entry(update: Update, plan: Plan, now: datetime, facts: CommitFacts) -> InventoryEntry:
    before = update.before
    is_same = not update.changes_content and update.after.file == before.file
    changed_in = before.changed_in if is_same else facts.changed_in(update.after.file, before)
    entry = _entry(update.after, plan, now, before.conditions, changed_in)
    changed = entry.spec_digest != before.spec_digest
    return replace(
        entry, generation=before.generation + changed, cursor=now if update.is_rescheduled else before.cursor
    )


def _mark_python(tx: Transaction, entry: InventoryEntry, plan: Plan, now: datetime) -> InventoryEntry | None:
    """Set the Python environment and its condition, with an event; return the new entry, or None if nothing changed."""
    python = plan.python.get(entry.name)
    conditions = status.python_conditions(entry, python, now)
    changed = _with_python(replace(entry, conditions=conditions), python)
    if changed == entry:
        return None
    inventory.update_keeping_cursor(tx, [changed])
    if python is not None and (python.request != entry.python or status.has_other_reason(python, entry)):
        events.append(tx, [status.python_event(entry, python, now, plan.revision)])
    return changed


def _with_python(entry: InventoryEntry, python: PythonEnvironment | None) -> InventoryEntry:
    request, file = (None, None) if python is None else (python.request, python.declared_at)
    return replace(entry, python=request, python_declared_at=file, python_waiting=None)


def _entry(
    deployment: Deployment,
    plan: Plan,
    now: datetime,
    before: Iterable[Condition] = (),
    changed_in: str | None = None,
) -> InventoryEntry:
    message = f"Declared in {deployment.file}:{deployment.line}."
    conditions = status.ready_condition(True, "Applied", message, now, before)
    python = plan.python.get(deployment.name)
    if python is not None:
        conditions = (*conditions, status.python_condition(python, now, before))
    conditions = (*conditions, *status.stalled_conditions(before))
    entry = InventoryEntry(
        name=deployment.name,
        file=deployment.file,
        line=deployment.line,
        document=deployment.document,
        spec_digest=deployment.spec_digest,
        revision=plan.revision,
        cursor=now,
        conditions=conditions,
        changed_in=changed_in,
    )
    return entry if python is None else _with_python(entry, python)


def _keep(tx: Transaction, kept: Kept, before: SourceStatus, now: datetime) -> InventoryEntry | None:
    """Pin the deployment and set its conditions; return the new entry, or None if nothing changed."""
    entry = kept.entry
    pinned = entry.pinned or before.last_applied_revision or entry.revision
    waiting = None if kept.python is None else kept.python.request
    changed = replace(entry, pinned=pinned, conditions=status.kept_conditions(kept, now), python_waiting=waiting)
    if changed == entry:
        return None
    inventory.update_keeping_cursor(tx, [changed])
    return changed
