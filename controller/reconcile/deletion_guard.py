"""Decides whether the deletions of a plan may be carried out or need approval first. Pure; called by `plan`.

A mistake in git can delete nearly everything: a moved folder, a wrong `--path`, a botched merge. Such deletions are
withheld until an operator approves their digest. The rest of the revision is applied.
"""

from collections.abc import Collection, Iterable

from controller.manifests.canonical_json import digest
from controller.model.deployments import Deployment
from controller.model.status import InventoryEntry, Withheld

ALWAYS_ALLOWED = 5
ALLOWED_SHARE = 0.2


def guard_deletions(
    deletions: Collection[InventoryEntry], *, active: int, remaining: int, plan_digest: str
) -> Withheld | None:
    """Withhold all of `deletions`, or return None if they may be carried out.

    `active` is the number of active deployments before, `remaining` the number afterwards. Deleting the only deployment
    needs no approval.
    """
    count = len(deletions)
    reason = None
    if count > 1 and remaining == 0:
        reason = f"this would delete all {count} deployments"
    elif count > max(ALWAYS_ALLOWED, active * ALLOWED_SHARE):
        reason = f"this would delete {count} of {active} deployments"
    if reason is None:
        return None
    names = tuple(sorted(entry.name for entry in deletions))
    return Withheld(reason=reason, digest=deletions_digest(deletions), deployments=names, plan_digest=plan_digest)


def deletions_digest(deletions: Iterable[InventoryEntry]) -> str:
    """Return the `sha256:…` digest of these deletions: of each name and the specification that would be deleted."""
    return digest(sorted([entry.name, entry.spec_digest] for entry in deletions))


def plan_digest(
    create: Iterable[Deployment], update: Iterable[tuple[InventoryEntry, Deployment]], delete: Iterable[InventoryEntry]
) -> str:
    """Return the `sha256:…` digest of everything that a plan changes. It does not depend on the revisions."""
    changes = [["create", new.name, new.spec_digest] for new in create]
    changes += [["update", before.name, before.spec_digest, after.name, after.spec_digest] for before, after in update]
    changes += [["delete", entry.name, entry.spec_digest] for entry in delete]
    return digest(sorted(changes))
