"""The deployments that the inventory's documents declare, each built once for all threads of the controller.

`app` creates the only one. The reconciler and the admission share it.
"""

from collections.abc import Iterable, Mapping

from controller.manifests.build import build_deployment
from controller.model.deployments import Deployment
from controller.model.status import InventoryEntry


class ActiveDeployments:
    """A cache with one deployment per name, valid for one file and digest. Thread-safe.

    A thread that asks for an older entry than another thread gets the older deployment, which is then built again.
    """

    def __init__(self) -> None:
        self._built: dict[str, Deployment] = {}
        self._declared: tuple[str, Mapping[str, Deployment]] = ("", {})

    def build(self, entry: InventoryEntry) -> Deployment:
        """Return the deployment that this entry declares. Raises StateError if its document is not valid (any more)."""
        built = self._built.get(entry.name)
        if built is None or (built.spec_digest, built.file) != (entry.spec_digest, entry.file):
            built = self._built[entry.name] = build_deployment(entry.document, entry.file, entry.line)
        return built

    def declare(self, revision: str, deployments: Mapping[str, Deployment]) -> None:
        """Keep what the source declares at the revision that was read last. None of it comes from the database."""
        self._declared = (revision, deployments)

    def find_declared(self, revision: str, name: str, file: str, digest: str) -> Deployment | None:
        """Return this version of a deployment if the source declares it at this revision, as far as that was read."""
        known, deployments = self._declared
        declared = deployments.get(name) if known == revision else None
        return declared if declared is not None and (declared.file, declared.spec_digest) == (file, digest) else None

    def priority(self, name: str) -> int | None:
        """Return the priority of a deployment, as far as it has been built; None if it has not."""
        built = self._built.get(name)
        return None if built is None else built.priority

    def add(self, deployments: Iterable[Deployment]) -> None:
        """Add deployments that were just applied."""
        self._built.update((deployment.name, deployment) for deployment in deployments)

    def remove(self, names: Iterable[str]) -> None:
        """Remove deployments that were deleted or renamed."""
        for name in names:
            self._built.pop(name, None)
