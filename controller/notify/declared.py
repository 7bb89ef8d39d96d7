"""The active deployments that declare something of interest to notifications, such as `expect`.

`deadline_inventory` and `heartbeats` use it. They call it in each evaluation, so it reads only what can have changed.
"""

from controller.errors import ControllerError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.status import SourceStatus
from controller.store import inventory, inventory_changes, passes, source_status
from controller.store.inventory_changes import Changes
from controller.store.store import Transaction

_Stamp = tuple[SourceStatus | None, int | None]


class DeclaredDeployments:
    """The active deployments whose documents have a key, by name. A deployment that did not change stays the same."""

    def __init__(self, built: ActiveDeployments, key: str) -> None:
        self._built = built
        self._key = key
        self._stamp: _Stamp | None = None
        self._last_change: int | None = None
        self.deployments: dict[str, Deployment] = {}

    def is_stale(self, tx: Transaction) -> bool:
        """Return whether a pass may have changed the deployments since they were read."""
        return _stamp(tx) != self._stamp

    def refresh(self, tx: Transaction, *, reload: bool = False) -> set[str] | None:
        """Read the deployments again that a pass may have changed; with `reload`, all.

        Return the names of those that may have changed, also of deleted ones and of those without the key; None if no
        pass may have changed any.
        """
        stamp = _stamp(tx)
        if stamp == self._stamp and not reload:
            return None
        changes = None if reload else self._find_changes(tx)
        if changes is None:
            declared, last = {}, inventory_changes.last_change(tx)
            digests = inventory.digests_with_key(tx, self._key)
            changed = {*digests, *self.deployments}
        else:
            changed, last, _ = changes
            declared = self.deployments.copy()
            for name in changed:
                declared.pop(name, None)
            digests = inventory.digests_with_key(tx, self._key, changed)
        unchanged = {name for name, digest in digests.items() if self._digest(name) == digest}
        declared |= {name: self.deployments[name] for name in unchanged}
        for entry in inventory.find_many(tx, digests.keys() - unchanged):
            try:
                declared[entry.name] = self._built.build(entry)
            except ControllerError:  # this version of controller can't read the document
                continue
        self.deployments, self._stamp, self._last_change = declared, stamp, last
        return changed

    def _find_changes(self, tx: Transaction) -> Changes | None:
        """Return what changed since the last read; None if everything must be read."""
        changes = None if self._last_change is None else inventory_changes.find_changed(tx, self._last_change)
        return changes if changes is not None and changes.is_complete else None

    def _digest(self, name: str) -> str | None:
        deployment = self.deployments.get(name)
        return None if deployment is None else deployment.spec_digest


def _stamp(tx: Transaction) -> _Stamp:
    return source_status.find(tx), passes.last_number(tx)
