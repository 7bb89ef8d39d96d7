"""Refuses renames that change only the case of a name. Pure; called by `differences`.

Names that differ only in case are the same name, so such a document counts as the newest one of the active deployment,
which keeps its last valid version.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from controller.manifests.reader import DesiredState
from controller.manifests.yaml.nodes import Position, Problem
from controller.model.findings import Finding, by_place
from controller.model.names import fold_name
from controller.model.status import InventoryEntry


def refuse_case_renames(desired: DesiredState, recorded: Mapping[str, InventoryEntry]) -> DesiredState:
    """Return the desired state without the deployments whose names differ from an active one only in case.

    Instead of them it has findings, and the names of the active deployments as declared names.
    """
    new = desired.declared_names - recorded.keys()
    if not new:
        return desired
    missing = {fold_name(name): name for name in recorded if name not in desired.declared_names}
    names = {name: missing[folded] for name in new if (folded := fold_name(name)) in missing}
    if not names:
        return desired
    findings = [*_relabelled(desired, names), *_refusals(desired, names)]
    return replace(
        desired,
        deployments={name: each for name, each in desired.deployments.items() if name not in names},
        findings=tuple(sorted(findings, key=by_place)),
        declared_names=desired.declared_names.union(names.values()),
    )


def _relabelled(desired: DesiredState, names: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings of the desired state, those about these names as findings about the active deployments."""
    for finding in desired.findings:
        name = names.get(finding.deployment or "")
        yield finding if name is None else replace(finding, deployment=name)


def _refusals(desired: DesiredState, names: Mapping[str, str]) -> Iterator[Finding]:
    for name, old in names.items():
        deployment = desired.deployments.get(name)
        if deployment is not None:
            yield Problem(
                code="CaseOnlyRename",
                message=f"the name {name} differs only in case from {old}, which is active",
                place=desired.name_places.get(name, Position(deployment.line, 1)),
                path=("name",),
                hint=f"write name: {old}, or a name that differs in more than case and renamed_from: {old}",
            ).finding(deployment.file, old)
