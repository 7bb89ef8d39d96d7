"""May these deletions be carried out, or does somebody have to look first? Pure. `plan` asks.

Git can say "delete nearly everything" by a slip: a moved folder, a wrong `--path`, a bad merge. Such deletions are
withheld until their digest is approved. All else of the revision is applied.
"""

from collections.abc import Collection, Iterable

from controller.manifests import digest
from controller.model.deployments import Deployment
from controller.model.status import InventoryEntry, Withheld

ALWAYS_ALLOWED = 5
ALLOWED_SHARE = 0.2


def guard_deletions(
    deletions: Collection[InventoryEntry], *, in_force: int, remaining: int, plan_digest: str
) -> Withheld | None:
    """What to withhold of `deletions`: all of them, or nothing.

    `in_force` is how many deployments are in force before, `remaining` how many would be afterwards. Deleting the only
    deployment that there is needs no approval.
    """
    count = len(deletions)
    reason = None
    if count > 1 and remaining == 0:
        reason = f"it would delete all {count} deployments"
    elif count > max(ALWAYS_ALLOWED, in_force * ALLOWED_SHARE):
        reason = f"it would delete {count} of {in_force} deployments"
    if reason is None:
        return None
    names = tuple(sorted(entry.name for entry in deletions))
    return Withheld(reason=reason, digest=deletions_digest(deletions), deployments=names, plan_digest=plan_digest)


def deletions_digest(deletions: Iterable[InventoryEntry]) -> str:
    """`sha256:…` of exactly these deletions: the names, and what would be deleted under each."""
    return digest(sorted([entry.name, entry.spec_digest] for entry in deletions))


def plan_digest(
    create: Iterable[Deployment], update: Iterable[tuple[InventoryEntry, Deployment]], delete: Iterable[InventoryEntry]
) -> str:
    """`sha256:…` of everything that a plan changes, whichever revisions it lies between."""
    changes = [["create", new.name, new.spec_digest] for new in create]
    changes += [["update", before.name, before.spec_digest, after.name, after.spec_digest] for before, after in update]
    changes += [["delete", entry.name, entry.spec_digest] for entry in delete]
    return digest(sorted(changes))
