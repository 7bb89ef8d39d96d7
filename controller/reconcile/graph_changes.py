"""Compares what starts or holds back what before and after a plan, and warns about changes of upstream deployments.

Pure; called by `preview`.
"""

from collections.abc import Collection, Iterator

from controller.manifests.build import build_deployment
from controller.model.deployments import Deployment
from controller.model.graph import Edge, edges_of
from controller.model.status import InventoryEntry
from controller.reconcile.plan import Plan, Update
from controller.records import dataclass
from controller.text import join_and

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeChange:
    """A dependency between deployments, or of a deployment on a file or a webhook, that is `added` or `removed`."""

    action: str
    edge: Edge


def edge_changes(plan: Plan) -> tuple[EdgeChange, ...]:
    """Return the dependencies that the plan adds or removes, sorted by the deployment that has them."""
    before = {edge for entry in plan.delete for edge in edges_of(_build(entry))}
    before |= {edge for update in plan.update for edge in edges_of(_build(update.before))}
    after = {edge for new in plan.create for edge in edges_of(new)}
    after |= {edge for update in plan.update for edge in edges_of(update.after)}
    changes = [EdgeChange(action="removed", edge=edge) for edge in before - after]
    changes += [EdgeChange(action="added", edge=edge) for edge in after - before]
    return tuple(
        sorted(changes, key=lambda change: (change.edge.target, change.edge.source, change.action != "removed"))
    )


def deletion_warnings(plan: Plan, name: str) -> Iterator[str]:
    """Yield what the deletion of this deployment means for those that wait for it."""
    dependants = plan.dependants.get(name)
    if dependants:
        yield f"{_names(dependants)} {_wait(dependants)} for it under `after`, and can't be released any more"


def update_warnings(plan: Plan, update: Update) -> Iterator[str]:
    """Yield what the change of this deployment means for those that wait for it."""
    if update.is_renamed and (dependants := plan.dependants.get(update.before.name)):
        verb = "names" if len(dependants) == 1 else "name"
        yield f"{_names(dependants)} still {verb} {update.before.name} under `after`"
    dependants = plan.dependants.get(update.after.name)
    if dependants and update.after.suspend and not _build(update.before).suspend:
        yield f"{_names(dependants)} {_wait(dependants)} for it under `after`, and its schedules are suspended"


def _build(entry: InventoryEntry) -> Deployment:
    return build_deployment(entry.document, entry.file, entry.line)


def _names(names: Collection[str]) -> str:
    shown = list(names)[:_MOST_NAMES]
    more = len(names) - len(shown)
    return join_and([*shown, f"{more} more"] if more else shown)


def _wait(names: Collection[str]) -> str:
    return "waits" if len(names) == 1 else "wait"
