"""The environment of a flow: what the controller gives, what its deployment declares, and which of them applies.

Used by the launcher and by `controller execute`. What the deployment declares always applies; the variables that it may
not declare are refused when its document is read.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from controller.model.deployments import Deployment
from controller.runs.executors.local.supervisor.temporary_directory import VARIABLES
from controller.runs.executors.local.users import FlowUser

_BYTECODE = "PYTHONPYCACHEPREFIX"


def declared_environment(base: Mapping[str, str], deployment: Deployment) -> dict[str, str]:
    """The base with what the deployment declares; without an LC_ALL of the base that would hide a declared locale."""
    declared = _declared_names(deployment)
    hides = any(name.startswith(("LANG", "LC_")) for name in declared)
    kept = {name: value for name, value in base.items() if not (hides and name == "LC_ALL")}
    return {**kept, **deployment.env}


def has_own_temporary(deployment: Deployment) -> bool:
    """Whether the deployment says where its temporary files go, so that it gets no directory of ours."""
    return not _declared_names(deployment).isdisjoint(VARIABLES)


def has_own_bytecode(deployment: Deployment) -> bool:
    """Whether the deployment says where Python keeps its bytecode."""
    return _BYTECODE in _declared_names(deployment)


def usable_bases(bases: Iterable[str], user: FlowUser | None) -> list[str]:
    """Those of these directories below which flows of this user can have a directory."""
    return [base for base in bases if user is None or _can_pass(user, Path(base))]


def _declared_names(deployment: Deployment) -> set[str]:
    return {*deployment.env, *deployment.secrets}


def _can_pass(user: FlowUser, base: Path) -> bool:
    try:
        return all(user.may_enter(directory) for directory in (base, *base.parents))
    except OSError:
        return False
