"""Finds the deployments that a revision declares otherwise than they are recorded. Pure; called by `plan`.

If the state of a revision is an update of the one that was applied last, only the updated deployments are visited.
"""

from collections.abc import Mapping, Set

from controller.manifests.reader import DesiredState
from controller.model.deployments import Deployment
from controller.model.status import InventoryEntry
from controller.model.updated_mapping import find_differing_keys
from controller.reconcile.case_renames import refuse_case_renames
from controller.records import dataclass

Dependants = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The result of an applied plan: all active deployments equal their declaration, except for the `kept` ones.

    - `declared`: the deployments that were declared, by name. `kept`: the names of those that the plan has kept.
    - `dependants`: those of the plan, or None if they were not recorded.
    """

    declared: Mapping[str, Deployment]
    kept: frozenset[str]
    dependants: Dependants | None

    def find_dependants(self, differences: "Differences", kept: Set[str]) -> Dependants | None:
        """Return the dependants if they are still the same ones; None if they may not be.

        `kept` are the names of the deployments that the next plan keeps.
        """
        if not differences.is_update or kept != self.kept or any(name in self.declared for name in kept):
            return None
        new = differences.declared
        is_same = all(each.after.upstreams == self.declared[each.name].after.upstreams for each in new)
        return self.dependants if is_same else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """The deployments that may differ from their record.

    - `desired`: the desired state without renames that are refused.
    - `declared`: the declared ones, in the order of their declaration. `absent`: the active ones that are not declared.
    - `is_update`: whether the same names are declared as before, and all other deployments are settled.
    """

    desired: DesiredState
    declared: list[Deployment]
    absent: list[InventoryEntry]
    is_update: bool = False


def find_differences(
    desired: DesiredState, recorded: Mapping[str, InventoryEntry], settled: Settled | None
) -> Differences:
    """Return what may differ between the declared and the active deployments. `settled` describes the last plan."""
    return _find_updates(desired, recorded, settled) or _compare_all(desired, recorded, settled)


def _find_updates(
    desired: DesiredState, recorded: Mapping[str, InventoryEntry], settled: Settled | None
) -> Differences | None:
    """Return the differences if the desired state is an update of the settled one."""
    changed = None if settled is None else find_differing_keys(desired.deployments, settled.declared)
    if settled is None or changed is None:
        return None
    deployments = desired.deployments
    absent = [recorded[name] for name in sorted(settled.kept) if name not in deployments and name in recorded]
    is_complete = len(recorded) == len(deployments) + len(absent)
    if not is_complete or (absent and refuse_case_renames(desired, recorded) is not desired):
        return None
    names = {name for name in changed if deployments[name] is not settled.declared[name]}
    names |= {name for name in settled.kept if name in deployments}
    declared = sorted((deployments[name] for name in names), key=lambda each: (each.file, each.line, each.name))
    return Differences(desired=desired, declared=declared, absent=absent, is_update=True)


def _compare_all(desired: DesiredState, recorded: Mapping[str, InventoryEntry], settled: Settled | None) -> Differences:
    desired = refuse_case_renames(desired, recorded)
    same = {} if settled is None else dict(settled.declared.items())
    kept: frozenset[str] = frozenset() if settled is None else settled.kept
    deployments = dict(desired.deployments.items())
    return Differences(
        desired=desired,
        declared=[
            each
            for name, each in deployments.items()
            if same.get(name) is not each or name in kept or name not in recorded
        ],
        absent=[entry for name, entry in recorded.items() if name not in deployments],
    )
