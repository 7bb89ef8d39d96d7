"""Records which repository a state belongs to: the one that was followed by the last controller that wrote to it.

`app` calls it before the first pass. `access_check` compares the recorded repository with that of a command.
"""

from datetime import datetime

from controller.errors import UsageError
from controller.model.status import Event, EventSeverity, SourceStatus
from controller.settings import Location
from controller.store import events, source_status
from controller.store.access_check import check_project, has_moved, is_of_repository, name_state, state_option
from controller.store.store import Transaction


def project_of(location: Location) -> str | None:
    """Return the project whose state it is. None if only the state itself, which is a file, may have a name."""
    return location.project if location.state_url is None else location.state_url.project


def claim(tx: Transaction, location: Location, now: datetime, *, is_adopted: bool) -> None:
    """Record that the state belongs to this location's repository and project.

    Raises UsageError if it belongs to another one, unless that repository was moved here or `is_adopted` is set.
    """
    status = source_status.find(tx)
    if status is None:
        return
    _claim_project(tx, status, location, is_adopted=is_adopted)
    if is_of_repository(status.repo, location):
        return
    owner, is_moved = status.repo, has_moved(status.repo, location)
    if not (is_moved or is_adopted):
        raise UsageError(
            f"The {name_state(location)} belongs to the repository {owner}, not to {location.repo}.",
            hint=f"Choose another {state_option(location)}."
            " To use this state for this repository from now on, add --adopt-state.",
        )
    reason = "StateMoved" if is_moved else "StateAdopted"
    if is_moved:
        message = f"The repository has moved from {owner} to {location.repo}."
    else:
        message = f"The state of {owner} was adopted for {location.repo}."
    source_status.set_repository(tx, str(location.repo))
    event = Event(time=now, severity=EventSeverity.WARNING, reason=reason, message=message, about="controller")
    events.append(tx, [event])


def _claim_project(tx: Transaction, status: SourceStatus, location: Location, *, is_adopted: bool) -> None:
    """Record the project, if it is named. Raises UsageError if the state is that of another one."""
    name = project_of(location)
    if not is_adopted:
        check_project(status.project_name, location)
    if name is not None and name != status.project_name:
        source_status.set_project(tx, name)
