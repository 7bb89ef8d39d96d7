"""Evaluates what has gone wrong since the last time, and writes the messages about it. Called by `notify.notifier`.

The recorded events are the input, with what the database says about runs, deployments and the source. Incidents,
announcements, messages and the cursor are written in one transaction.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.notifications import NotifySettings
from controller.model.status import Condition
from controller.store import Store


class Evaluator:
    """Writes incidents and messages. Used by one thread.

    - `settings` returns the current content of `notify.yaml`.
    - `new_id` returns the id of a new message, a UUIDv7 that is higher than all before.
    - `public_url`: the address of the dashboard, for links in messages.
    - `notices` returns the conditions that can't be recorded in the database.
    """

    def __init__(
        self,
        store: Store,
        deployments: ActiveDeployments,
        *,
        settings: Callable[[], NotifySettings],
        new_id: Callable[[datetime], str],
        public_url: str | None = None,
        notices: Callable[[], Sequence[Condition]] = tuple,
    ) -> None:
        self._store = store
        self._deployments = deployments
        self._settings = settings
        self._new_id = new_id
        self._public_url = public_url
        self._notices = notices

    def evaluate(self, now: datetime) -> datetime | None:
        """Write the messages about what has happened until `now`. Raises StateError.

        Return when it must be called again if nothing is recorded until then, or None.
        """
        raise NotImplementedError
