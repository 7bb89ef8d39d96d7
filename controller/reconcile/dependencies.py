"""Records which deployments depend on which, and marks those of which an upstream deployment is not active.

`apply` calls it in the transaction of a plan, after the inventory has been written.
"""

from dataclasses import replace
from datetime import datetime

from controller.manifests.after_fields import upstream_names
from controller.model.status import InventoryEntry
from controller.reconcile import status
from controller.reconcile.plan import Plan
from controller.store import Transaction, dependencies, inventory


def record_dependencies(tx: Transaction, plan: Plan, now: datetime) -> list[InventoryEntry]:
    """Write the dependencies of all active deployments. Return the entries whose condition Stalled has changed.

    A deployment whose upstream deployment was deleted keeps waiting for it: it is Stalled, and never released by that.
    """
    dependants = {name for names in plan.dependants.values() for name in names}
    entries = sorted(inventory.find_many(tx, dependants), key=lambda entry: entry.name) if dependants else []
    upstreams = {entry.name: upstream_names(entry.document) for entry in entries}
    dependencies.replace_all(tx, upstreams)
    active = inventory.find_active(tx, {name for names in upstreams.values() for name in names})
    changed = []
    for entry in entries:
        missing = [name for name in upstreams[entry.name] if name not in active]
        conditions = status.upstream_conditions(entry, missing, now)
        if status.stalled_conditions(conditions) != status.stalled_conditions(entry.conditions):
            changed.append(replace(entry, conditions=conditions))
    inventory.update_keeping_cursor(tx, changed)
    return changed
