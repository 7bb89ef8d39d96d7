"""Checks which repository a state belongs to: the one that was followed by the last controller that wrote to it.

If a controller followed another repository with the same state, it would prune every deployment of the first one.
`controller run` checks this before its first pass, and every command that reads the state does too.
"""

import os
from datetime import datetime

from controller.errors import UsageError
from controller.model.status import Event, EventSeverity
from controller.remotes import RemoteUrl, canonical, local_path
from controller.settings import STATE_BESIDE, STATE_IN_GIT, Location, git_directory
from controller.store import events, source_status
from controller.store.store import Transaction


def claim(tx: Transaction, location: Location, now: datetime, *, is_adopted: bool) -> None:
    """Record that the state belongs to this location's repository.

    Raises UsageError if it belongs to another one, unless that repository was moved here or `is_adopted` is set.
    """
    owner = _other_owner(tx, location)
    if owner is None:
        return
    has_moved = _has_moved(owner, location)
    if not (has_moved or is_adopted):
        raise UsageError(
            f"The state directory {location.state_dir} belongs to the repository {owner}, not to {location.repo}.",
            hint="Choose another --state-dir. To use this state for this repository from now on, add --adopt-state.",
        )
    reason = "StateMoved" if has_moved else "StateAdopted"
    if has_moved:
        message = f"The repository has moved from {owner} to {location.repo}."
    else:
        message = f"The state of {owner} was adopted for {location.repo}."
    source_status.set_repository(tx, str(location.repo))
    event = Event(time=now, severity=EventSeverity.WARNING, reason=reason, message=message, about="controller")
    events.append(tx, [event])


def check_repository(tx: Transaction, location: Location) -> None:
    """Raise UsageError if the state belongs to another repository."""
    owner = _other_owner(tx, location)
    if owner is not None and not _has_moved(owner, location):
        raise UsageError(
            f"The state directory {location.state_dir} belongs to the repository {owner}, not to {location.repo}.",
            hint=f"Add --repo {owner} to read the state of that one, or choose another --state-dir.",
        )


def _other_owner(tx: Transaction, location: Location) -> str | None:
    status = source_status.find(tx)
    if status is None or canonical(status.repo) == canonical(str(location.repo)):
        return None
    return status.repo


def _has_moved(owner: str, location: Location) -> bool:
    """Return whether the repository was moved together with the state in it: nothing exists at its old path."""
    old, root = local_path(owner), location.repo
    if old is None or os.path.lexists(old) or isinstance(root, RemoteUrl):
        return False
    git = git_directory(root)
    inside = [root / STATE_BESIDE, *([] if git is None else [git / STATE_IN_GIT])]
    return os.path.realpath(location.state_dir) in map(os.path.realpath, inside)
