"""Creates the runs of new files, in the transaction that also records the files. `folder_watch` calls it.

So a crash neither loses a file nor starts two runs for it. A file that is recorded in another version, or not at all,
is new, unless a stored run has the idempotency key of exactly this version.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from controller.clock import Clock
from controller.crashpoints import reach
from controller.model.deployments import Deployment
from controller.model.runs import Run, RunId, Trigger
from controller.model.status import Event, EventSeverity
from controller.model.triggers import FileTrigger, FileVersion, SeenFile
from controller.runs.admission import Admission
from controller.store import Store, Transaction, events, holds, inventory, runs, seen_files
from controller.text import format_count, shorten, visible

log = logging.getLogger(__name__)

BATCH = 500
"""How many runs one transaction creates."""


class FileRuns:
    """Creates runs for files. Calls `wake` when runs have been created."""

    def __init__(self, store: Store, clock: Clock, admission: Admission, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._admission = admission
        self._wake = wake

    def create(self, deployment: Deployment, trigger: FileTrigger, files: Sequence[FileVersion]) -> list[FileVersion]:
        """Create a run for each of these files, in their order. Return the files for which that was not possible.

        It is not possible once the deployment has changed, is held or was removed: then files wait.
        """
        remaining = iter(files)
        while batch := list(islice(remaining, BATCH)):
            with self._store.write() as tx:
                is_created = self._create_batch(tx, deployment, trigger, batch)
                reach("files:creating", batch)
            if not is_created:
                return [*batch, *remaining]
            reach("files:created", batch)
            self._wake()
        return []

    def _create_batch(
        self, tx: Transaction, deployment: Deployment, trigger: FileTrigger, batch: list[FileVersion]
    ) -> bool:
        now = self._clock.now()
        entry = inventory.find(tx, deployment.name)
        hold = holds.find_all(tx).get(deployment.name)
        if entry is None or entry.spec_digest != deployment.spec_digest or (hold and not hold.is_over(now)):
            return False
        run_ids = runs.ids_by_key(tx, deployment.name, [file.key for file in batch])
        new = [file for file in batch if file.key not in run_ids]
        created = self._admission.event_runs(
            tx, entry, Trigger.FILE, [(_parameters(trigger, file), file.key) for file in new]
        )
        run_ids |= {file.key: run.id for file, run in zip(new, created, strict=True)}
        seen_files.save(tx, [_seen(deployment.name, file, run_ids[file.key]) for file in batch], now)
        if created:
            self._report(tx, deployment.name, trigger, created, new[0])
        return True

    def _report(self, tx: Transaction, name: str, trigger: FileTrigger, created: list[Run], first: FileVersion) -> None:
        path = shorten(visible(first.path), 300)
        if len(created) == 1:
            message = f"The new file {path} started run {created[0].id}."
        else:
            count = format_count(len(created), "new file")
            message = f"{count} in {trigger.path} started runs; the first is {path}, with run {created[0].id}."
        event = Event(
            time=self._clock.now(),
            severity=EventSeverity.INFO,
            reason="FilesArrived",
            message=message,
            about=name,
            deployment=name,
            run_id=created[0].id if len(created) == 1 else None,
        )
        events.append(tx, [event])
        fields = {"deployment": name, "folder": trigger.path, "count": len(created)}
        tx.after_commit(partial(log.info, "New files start runs", extra=fields))


def _parameters(trigger: FileTrigger, file: FileVersion) -> Mapping[str, Any]:
    return {} if trigger.parameter is None else {trigger.parameter: file.path}


def _seen(deployment: str, file: FileVersion, run_id: RunId) -> SeenFile:
    return SeenFile(deployment=deployment, version=file, run_id=run_id)
