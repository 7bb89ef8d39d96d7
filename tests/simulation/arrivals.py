"""The events from outside in a simulation: files in a watched folder, and deliveries to a webhook.

The folder is a real one, and so are its scans and the handling of requests; only the threads are missing. Each version
of a file must start one run, and so must each delivery, across kills of the controller.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from controller.model.deployments import Deployment
from controller.model.runs import RunId, Trigger
from controller.model.triggers import DELIVERY_LIFE, FileVersion
from controller.operations.context import OperationContext
from controller.store import Store, Transaction, holds, inventory
from controller.store.run_search import RunFilter, select_all
from controller.triggers.file_runs import FileRuns
from controller.triggers.folder_watch import FolderWatch
from controller.triggers.seen_file_cleanup import SeenFileCleanup
from controller.triggers.signatures import SignedRequest
from controller.triggers.watch_roots import WatchRoots
from controller.triggers.webhooks import Webhooks
from tests.conftest import ManualClock

WATCHING, HOOKED = "g", "h"
"""The deployments with a file trigger and with a webhook, which never change."""
_SETTLE = timedelta(seconds=5)
_SECRET = "secret"


@dataclass(slots=True)
class Version:
    """A version of a file. `first_scan` is when the current watch first saw it, on the scale of `Clock.elapsed`."""

    key: str
    first_scan: float | None = None
    is_due: bool = False


class Inbox:
    """A watched folder, and the versions of its files. Files may be moved away and back, which starts no run."""

    def __init__(self, folder: Path, random: Random, clock: ManualClock) -> None:
        self.folder = folder
        self._away = folder.with_name("away")
        self._random = random
        self._clock = clock
        self._present: dict[str, Version] = {}
        self._moved: dict[str, Version] = {}
        self._versions: list[Version] = []
        self._watch: FolderWatch | None = None
        for created in (self.folder, self._away):
            created.mkdir()

    @property
    def document(self) -> dict[str, Any]:
        """The deployment that watches the folder."""
        files = {"path": str(self.folder), "settle": f"{_SETTLE.total_seconds():.0f}s"}
        return {"name": WATCHING, "command": ["true"], "on": [{"files": files}], "overlap": "allow"}

    def boot(self, store: Store, context: OperationContext) -> None:
        """Start a new controller, which knows only what is in the store."""
        self._store, self._context = store, context
        self._runs = FileRuns(store, self._clock, context.admission, context.wake)
        self._cleanup = SeenFileCleanup(store, self._clock)
        self._forget_watch()

    def change(self) -> None:
        """Write a new file, write one again, remove one, or move one away or back."""
        present, moved = sorted(self._present), sorted(self._moved)
        action = self._random.choice(["write", "write", "rewrite", "rewrite", "remove", "away", "back"])
        if action == "back" and moved:
            name = self._random.choice(moved)
            (self._away / name).rename(self.folder / name)
            self._present[name] = self._moved.pop(name)
            self._present[name].first_scan = None
        elif action in ("rewrite", "remove", "away") and present:
            name = self._random.choice(present)
            if action == "rewrite":
                self._write(name)
            elif action == "remove":
                (self.folder / name).unlink()
                del self._present[name]
            else:
                (self.folder / name).rename(self._away / name)
                self._moved[name] = self._present.pop(name)
        else:
            self._write(f"f{len(self._versions)}")

    def _write(self, name: str) -> None:
        """Write a file; its size is different in each version."""
        path = self.folder / name
        path.write_bytes(b"x" * (len(self._versions) + 1))
        moment = int(self._clock.now().timestamp() * 1e9)
        os.utime(path, ns=(moment, moment))
        status = path.stat()
        version = FileVersion(path=str(path), inode=status.st_ino, size=status.st_size, modified_ns=status.st_mtime_ns)
        self._present[name] = Version(version.key)
        self._versions.append(self._present[name])

    def turn(self) -> None:
        """Scan the folder if that is due, as the file watcher does."""
        deployment = self._find_deployment()
        if deployment is None:
            self._forget_watch()
            return
        if self._watch is None or self._watch.deployment.spec_digest != deployment.spec_digest:
            self._forget_watch()
            self._watch = FolderWatch(
                deployment,
                deployment.files[0],
                store=self._store,
                clock=self._clock,
                runs=self._runs,
                roots=WatchRoots([self.folder], self._away),
            )
        if self._watch.next_scan <= self._clock.monotonic():
            self._watch.scan()
            self._note_scan()
        self._cleanup.step()

    def _find_deployment(self) -> Deployment | None:
        """Return the deployment unless it is suspended or held."""
        with self._store.read() as tx:
            entry, hold = inventory.find(tx, WATCHING), holds.find_all(tx).get(WATCHING)
        is_held = hold is not None and not hold.is_over(self._clock.now())
        deployment = None if entry is None or is_held else self._context.admission.deployment(entry)
        return None if deployment is None or deployment.suspend else deployment

    def _forget_watch(self) -> None:
        self._watch = None
        for version in self._present.values():
            version.first_scan = None

    def _note_scan(self) -> None:
        """Note which versions must have started a run: those that were in two scans with the settling time between."""
        now = self._clock.elapsed()
        for version in self._present.values():
            version.first_scan = now if version.first_scan is None else version.first_scan
            version.is_due = version.is_due or now - version.first_scan >= _SETTLE.total_seconds()

    def check(self, tx: Transaction) -> None:
        """Check that no version has started two runs, and that each that has settled has started one."""
        started = Counter(
            run.idempotency_key for run in select_all(tx, RunFilter(deployment=WATCHING, trigger=Trigger.FILE.value))
        )
        assert set(started) <= {version.key for version in self._versions}
        assert [key for key, count in started.items() if count > 1] == []
        assert [version for version in self._versions if version.is_due and not started[version.key]] == []

    def check_end(self) -> None:
        """Check that nothing still has to settle."""
        assert [version for version in self._present.values() if not version.is_due] == []


@dataclass(slots=True)
class Delivery:
    """A delivery to the webhook, when it was last sent, and the runs that were answered."""

    id: str
    sent_at: datetime
    answers: set[RunId] = field(default_factory=set)


class Sender:
    """Sends deliveries to a webhook, also repeatedly, as a sender does that got no answer or lost it."""

    def __init__(self, random: Random, clock: ManualClock) -> None:
        self._random = random
        self._clock = clock
        self._deliveries: list[Delivery] = []
        self._latest = clock.now()

    @property
    def document(self) -> dict[str, Any]:
        """The deployment with the webhook."""
        webhook = {"name": "hook", "secret": {"env": "HOOK"}, "signature": "token", "header": "X-Token"}
        return {"name": HOOKED, "command": ["true"], "on": [{"webhook": webhook}]}

    def boot(self, context: OperationContext) -> None:
        """Start a new controller."""
        self._webhooks = Webhooks(context, None, {"HOOK": _SECRET})

    def note_time(self) -> None:
        """Note the time: what the controller remembers about a delivery ends by the wall clock, also by a wrong one."""
        self._latest = max(self._latest, self._clock.now())

    def send(self) -> None:
        """Send a new delivery, or one of the last again. Raises ControllerError if it is refused."""
        remembered = [each for each in self._deliveries[-5:] if self._is_remembered(each)]
        if remembered and self._random.random() < 0.5:
            delivery = self._random.choice(remembered)
        else:
            delivery = Delivery(f"d{len(self._deliveries)}", self._clock.now())
            self._deliveries.append(delivery)
        self._send(delivery)

    def unanswered(self) -> list[Callable[[], None]]:
        """Return what sends the deliveries again that got no answer."""
        lost = [each for each in self._deliveries if not each.answers and self._is_remembered(each)]
        return [lambda delivery=delivery: self._send(delivery) for delivery in lost]  # type: ignore[misc]

    def _is_remembered(self, delivery: Delivery) -> bool:
        return self._latest - delivery.sent_at < DELIVERY_LIFE

    def _send(self, delivery: Delivery) -> None:
        headers = {"X-Token": _SECRET, "Idempotency-Key": delivery.id}
        run_id = self._webhooks.start_run("hook", SignedRequest(headers=headers, body=b"{}"))
        delivery.answers.add(run_id)

    def check(self, tx: Transaction) -> None:
        """Check that each delivery has started one run; at most one if it got no answer."""
        of_webhook = RunFilter(deployment=HOOKED, trigger=Trigger.WEBHOOK.value)
        started = {run.id for run in select_all(tx, of_webhook)}
        assert [each for each in self._deliveries if len(each.answers) > 1] == []
        answered = [run_id for each in self._deliveries for run_id in each.answers]
        assert len(set(answered)) == len(answered)
        assert set(answered) <= started
        lost = [each for each in self._deliveries if not each.answers]
        assert len(started) - len(answered) <= len(lost)

    def check_end(self, tx: Transaction) -> None:
        """Check that each delivery that could be sent again was answered."""
        self.check(tx)
        assert [each for each in self._deliveries if not each.answers and self._is_remembered(each)] == []
