"""Which repository a state belongs to: the one that the controller followed which wrote it last.

With another one, every deployment of the first would be missing and so be pruned. `controller run` asks before its
first pass, and so does every command that looks.
"""

import os
from datetime import datetime
from pathlib import Path

from controller.errors import UsageError
from controller.model.status import Event, EventSeverity
from controller.remotes import RemoteUrl, canonical, local_path
from controller.settings import STATE_BESIDE, STATE_IN_GIT, Location, git_directory
from controller.store import events, source_status
from controller.store.store import Transaction


def claim(tx: Transaction, location: Location, now: datetime, *, is_adopted: bool) -> None:
    """Make the state this location's. Raises UsageError if it is another repository's and nobody said `is_adopted`."""
    owner = _other_owner(tx, location)
    if owner is None:
        return
    has_moved = _has_moved(owner, location)
    if not (has_moved or is_adopted):
        raise UsageError(
            f"The state directory {location.state_dir} belongs to the repository {owner}, not to {location.repo}.",
            hint="Choose another --state-dir. To go on with this state for this repository, add --adopt-state.",
        )
    reason = "StateMoved" if has_moved else "StateAdopted"
    what = "The repository has moved" if has_moved else "The state was adopted"
    message = f"{what}: it was {owner}, and is {location.repo} now."
    source_status.set_repository(tx, str(location.repo))
    event = Event(time=now, severity=EventSeverity.WARNING, reason=reason, message=message, about="controller")
    events.append(tx, [event])


def check_to_look(tx: Transaction, location: Location) -> None:
    """Raises UsageError if the state is another repository's."""
    owner = _other_owner(tx, location)
    if owner is not None and not _has_moved(owner, location):
        raise UsageError(
            f"The state directory {location.state_dir} belongs to the repository {owner}, not to {location.repo}.",
            hint=f"Add --repo {owner} to ask about that one, or choose another --state-dir.",
        )


def _other_owner(tx: Transaction, location: Location) -> str | None:
    known = source_status.find(tx)
    if known is None or canonical(known.repo) == canonical(str(location.repo)):
        return None
    return known.repo


def _has_moved(owner: str, location: Location) -> bool:
    """Whether the repository was moved together with the state inside it: at its old place there is nothing."""
    old, root = local_path(owner), location.repo
    if old is None or os.path.lexists(old) or isinstance(root, RemoteUrl):
        return False
    git = git_directory(root)
    places = [root / STATE_BESIDE, *([] if git is None else [git / STATE_IN_GIT])]
    return _real(location.state_dir) in map(_real, places)


def _real(path: Path) -> str:
    return os.path.realpath(path)
