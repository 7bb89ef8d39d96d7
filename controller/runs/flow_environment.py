"""The environment of a flow: the controller's variables and those that its deployment declares.

Used by the launcher and by `controller execute`. Declared variables always take precedence. Documents that declare
variables that are not allowed are rejected when they are read.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from controller.model.deployments import CommandTarget, Deployment
from controller.runs.executors.local.supervisor.temporary_directory import VARIABLES
from controller.runs.executors.local.users import FlowUser
from controller.sources.source import as_text

_BYTECODE = "PYTHONPYCACHEPREFIX"


def declared_environment(base: Mapping[str, str], deployment: Deployment) -> dict[str, str]:
    """Return `base` with the variables of the deployment, without an LC_ALL that would override a declared locale."""
    declared = _declared_names(deployment)
    has_locale = any(name.startswith(("LANG", "LC_")) for name in declared)
    inherited = {name: value for name, value in base.items() if not (has_locale and name == "LC_ALL")}
    return {**inherited, **deployment.env}


def import_variables(deployment: Deployment, root: Path) -> dict[str, str]:
    """Return the PYTHONPATH of a command with import paths. A flow gets them on its `sys.path` instead."""
    if not isinstance(deployment.target, CommandTarget) or not deployment.import_paths:
        return {}
    return {"PYTHONPATH": ":".join(os.path.join(as_text(root), path).rstrip("/") for path in deployment.import_paths)}  # noqa: PTH118


def has_own_temporary(deployment: Deployment) -> bool:
    """Whether the deployment declares where its temporary files go, so that controller creates no directory."""
    return not _declared_names(deployment).isdisjoint(VARIABLES)


def has_own_bytecode(deployment: Deployment) -> bool:
    """Whether the deployment declares where Python stores its bytecode."""
    return _BYTECODE in _declared_names(deployment)


def usable_bases(bases: Iterable[str], user: FlowUser | None) -> list[str]:
    """Return the directories that the user can enter, so that flows can have a directory below them."""
    return [base for base in bases if user is None or _can_pass(user, Path(base))]


def _declared_names(deployment: Deployment) -> set[str]:
    return {*deployment.env, *deployment.secrets}


def _can_pass(user: FlowUser, base: Path) -> bool:
    try:
        return all(user.may_enter(directory) for directory in (base, *base.parents))
    except OSError:
        return False
