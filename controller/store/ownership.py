"""Records which repository a state belongs to: the one that was followed by the last controller that wrote to it.

`app` calls it before the first pass. `access_check` compares the recorded repository with that of a command.
"""

from datetime import datetime

from controller.errors import UsageError
from controller.model.status import Event, EventSeverity
from controller.settings import Location
from controller.store import events, source_status
from controller.store.access_check import has_moved, is_of_repository, name_state, state_option
from controller.store.store import Transaction


def claim(tx: Transaction, location: Location, now: datetime, *, is_adopted: bool) -> None:
    """Record that the state belongs to this location's repository.

    Raises UsageError if it belongs to another one, unless that repository was moved here or `is_adopted` is set.
    """
    status = source_status.find(tx)
    if status is None or is_of_repository(status.repo, location):
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
