"""Applies the deployments of a repository without a controller, for benchmarks that use its parts in this process."""

from dataclasses import dataclass
from pathlib import Path

from controller.clock import SystemClock
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.status import SourceStatus
from controller.reconcile.reconciler import Reconciler
from controller.runs.admission import Admission
from controller.runs.ids import RunIds
from controller.sources.git import GitSource
from controller.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The deployments of a repository, and the admission of their runs."""

    source: GitSource
    deployments: ActiveDeployments
    admission: Admission


def apply(root: Path, work: Path, store: Store, clock: SystemClock) -> Applied:
    """Apply the deployments of a repository."""
    source = GitSource(root, ref=None, path="deployments", exports=work / "exports")
    deployments = ActiveDeployments()
    admission = Admission(clock, RunIds(), deployments)
    initial = SourceStatus(
        repo=str(root), ref=None, revision=None, last_attempted_revision=None, last_applied_revision=None
    )
    Reconciler(
        source=source,
        store=store,
        clock=clock,
        initial=initial,
        deployments=deployments,
        settle=admission.settle_before_change,
        project=lambda *_: (),
    ).run_pass()
    return Applied(source=source, deployments=deployments, admission=admission)
