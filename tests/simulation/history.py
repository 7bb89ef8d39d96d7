"""Generates a history from a seed: random actions of users, the machine and the clock on a simulated controller."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.errors import ControllerError
from controller.model.backfills import CodeVersion, Redo
from controller.model.status import Hold
from controller.operations.backfills import (
    BackfillRequest,
    cancel_whole_backfill,
    create_backfill,
    pause_backfill,
    resume_backfill,
)
from controller.operations.cancel import cancel_run
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.store import backfills, finished_upstreams, holds, inventory, occurrences, runs
from controller.store.run_search import RunFilter, select_all
from tests.simulation.arrivals import HOOKED, WATCHING
from tests.simulation.checks import Checker
from tests.simulation.world import Killed, World

NAMES = ("a", "b", "c", "d")
HOLDABLE = (*NAMES, WATCHING, HOOKED)
EVENTS = {"e": "a", "f": [{"deployment": "a", "on_redo": "run"}, {"deployment": "b", "on": "finished"}]}
"""The deployments without schedules, which never change, with their upstream deployments."""
GATES: tuple[Any, ...] = (
    {},
    {"after": "a"},
    {"after": [{"deployment": "a", "on_redo": "run"}, {"deployment": "b", "on": "finished"}]},
    {"after": {"deployments": ["b", "e"], "any": True}},
    {"after": "f"},
)
CALENDAR_RULES = (
    {"except": "second"},
    {"windows": [{"from": "12:00", "to": "16:00"}], "outside": "skip"},
    {"windows": [{"from": "13:00", "to": "15:00"}, {"from": "20:00", "to": "02:00"}]},
)
FAR = timedelta(days=30)
KILL_CHANCE = 0.03
MAX_CALM_STEPS = 1000


class History:
    """Runs the history of one seed. `trace` lists its steps, to help with debugging a failure."""

    def __init__(self, seed: int, path: Path, steps: int) -> None:
        self._world = World(seed, path)
        self._random = self._world.random
        self._steps = steps
        self._checker = Checker(self._world)
        self._stable = set(NAMES[:2])
        self._gaps: list[tuple[datetime, datetime]] = []
        self._span = (self._world.clock.now(), self._world.clock.now())
        self.trace: list[str] = []

    def run(self) -> str:
        """Run the whole history and check all invariants. Return the trace and the final runs as text."""
        try:
            for name in NAMES:
                self._world.source.documents[name] = self._document(name)
            for name, after in EVENTS.items():
                self._world.source.documents[name] = {"name": name, "command": ["true"], "after": after}
            for document in (self._world.inbox.document, self._world.sender.document):
                self._world.source.documents[document["name"]] = document
            self._world.source.limits = {"narrow": 1}
            self._span = (self._world.clock.now(), self._world.clock.now())
            self._guarded(self._world.boot)
            self._guarded(self._reconcile)
            self._world.kill_chance = KILL_CHANCE
            for _ in range(self._steps):
                self._step()
                self._checker.check_step()
            self._settle()
            self._checker.check_end(self._span, self._gaps, self._stable)
            return self._summary()
        finally:
            self._world.close()

    def _step(self) -> None:
        kinds: list[tuple[int, Callable[[], None]]] = [
            (30, self._nothing),
            (8, self._trigger),
            (6, self._cancel),
            (4, self._retry),
            (3, self._backfill),
            (3, self._change_backfill),
            (2, self._trigger_due_time),
            (5, self._edit),
            (4, self._hold),
            (5, self._resume),
            (4, self._kill_supervisor),
            (3, self._cut_off_cluster),
            (3, self._set_clock),
            (1, self._wild_clock),
            (3, self._downtime),
            (16, self._world.inbox.change),
            (10, self._world.sender.send),
        ]
        [action] = self._random.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
        self.trace.append(f"{self._world.clock.now():%d %H:%M:%S} {action.__name__}")
        self._guarded(action)
        self._world.pass_time(timedelta(seconds=self._random.choice([0.1, 1, 10, 60, 600, 1800])))
        is_tick = self._random.random() < 0.5
        self._guarded(lambda: self._world.turn(is_tick=is_tick, is_due=is_tick or self._random.random() < 0.6))

    def _guarded(self, action: Callable[[], object]) -> None:
        """Perform the action. If the controller is killed meanwhile, start another one, which may be killed too."""
        while True:
            try:
                action()
            except ControllerError as error:
                self.trace.append(f"  refused: {error.message}")
            except Killed:
                self._world.kills += 1
                self.trace.append("  killed")
                action = self._world.boot
                continue
            return

    def _settle(self) -> None:
        """Stop the faults, and let time pass until all runs have finished."""
        world = self._world
        world.kill_chance, world.machine.is_calm, world.machine.is_cut_off = 0.0, True, False
        for name in HOLDABLE:
            self._remove_hold(name)
        self._resume_backfills()
        self._reconcile()
        for send in world.sender.unanswered():
            world.pass_time(timedelta(seconds=1))
            self._guarded(send)
        # Suspend all deployments, since otherwise their schedules would create new runs for ever.
        for _ in range(3):
            world.pass_time(timedelta(seconds=30))
            world.turn(is_tick=True)
        self._span = (self._span[0], world.clock.now())
        for document in world.source.documents.values():
            document["suspend"] = True
        self._reconcile()
        for step in range(MAX_CALM_STEPS):
            with world.real_store.read() as tx:
                if not runs.counts(tx) and not finished_upstreams.find(tx, 1):
                    return
            world.pass_time(timedelta(minutes=10))
            world.turn(is_tick=step % 4 == 0, is_due=False)

    def _document(self, name: str) -> dict[str, Any]:
        pick = self._random.choice
        return {
            "name": name,
            "command": ["true"],
            "schedules": [
                {
                    "cron": pick(["*/10 * * * *", "*/15 * * * *", "0 * * * *"]),
                    **pick([{}, {"jitter": "9m"}]),
                    **pick([{}, {}, {}, *CALENDAR_RULES]),
                }
            ],
            "calendars": {"second": {"dates": ["2026-06-02 Second"]}},
            "overlap": pick(["skip", "queue", "replace", "allow"]),
            "catchup": {"policy": pick(["latest", "all", "none"]), "max": pick([1, 5, 100])},
            "retries": {"limit": pick([0, 2]), "delay": pick([1, 600]), "on": ["failed", "timed_out", "crashed"]},
            "queue": pick(["default", "narrow"]),
            "priority": pick([0, 0, 5]),
            **({"queue": "default"} if name == "a" else {}),
            **(pick(GATES) if name in NAMES[2:] else {}),
            **({"start_deadline": pick(["1m", "20m"])} if self._random.random() < 0.4 else {}),
            **({"timeout": "5m"} if self._random.random() < 0.3 else {}),
        }

    def _reconcile(self) -> None:
        assert self._world.reconciler.run_pass(is_requested=True).status.findings == ()

    def _nothing(self) -> None:
        return

    def _trigger(self) -> None:
        trigger_run(self._world.operations, self._random.choice(NAMES), {}, author="nobody")

    def _any_run(self) -> str | None:
        with self._world.real_store.read() as tx:
            recent = select_all(tx, RunFilter(), limit=12)
        return self._random.choice(recent).id if recent else None

    def _cancel(self) -> None:
        run_id = self._any_run()
        if run_id is not None:
            cancel_run(self._world.operations, run_id, "enough", author="nobody")

    def _retry(self) -> None:
        run_id = self._any_run()
        if run_id is not None:
            is_latest = self._random.random() < 0.5
            retry_run(self._world.operations, run_id, latest=is_latest, author="nobody")

    def _trigger_due_time(self) -> None:
        name = self._random.choice(NAMES)
        with self._world.real_store.read() as tx:
            recorded = occurrences.find_newest(tx, name, 12)
        if recorded:
            due_time = self._random.choice(recorded).scheduled_for
            trigger_run(self._world.operations, name, {}, due_time=due_time, author="nobody")

    def _backfill(self) -> None:
        now = self._world.clock.now()
        since = now - timedelta(minutes=self._random.randrange(200))
        name = self._random.choice(NAMES)
        pick = self._random.choice
        request = BackfillRequest(
            deployment=name,
            since=since,
            until=now,
            redo=pick([None, *Redo]),
            code=pick(list(CodeVersion)),
            parallel=pick([None, 1, 3]),
            most=pick([5, None]),
        )
        create_backfill(self._world.operations, request, author="nobody")

    def _change_backfill(self) -> None:
        with self._world.real_store.read() as tx:
            recent = backfills.find_newest(tx, 4)
        if recent:
            change = self._random.choice([pause_backfill, resume_backfill, resume_backfill, cancel_whole_backfill])
            change(self._world.operations, self._random.choice(recent).id, author="nobody")

    def _resume_backfills(self) -> None:
        with self._world.real_store.read() as tx:
            paused = [backfill.id for backfill in backfills.find_unfinished(tx)]
        for backfill_id in paused:
            resume_backfill(self._world.operations, backfill_id, author="nobody")

    def _edit(self) -> None:
        """Commit a change: of a declaration, of a limit, or that removes or restores a deployment."""
        documents, name = self._world.source.documents, self._random.choice(NAMES[2:])
        if self._random.random() < 0.3:
            self._world.source.limits = {"narrow": self._random.choice([1, 2])}
        elif name in documents and self._random.random() < 0.4:
            del documents[name]
        else:
            documents[name] = self._document(name)
        self._reconcile()

    def _hold(self) -> None:
        now = self._world.clock.now()
        until = self._random.choice([None, now + timedelta(minutes=30)])
        hold = Hold(deployment=self._random.choice(HOLDABLE), reason="hold", author="me", since=now, until=until)
        with self._world.store.write() as tx:
            holds.save(tx, hold)

    def _resume(self) -> None:
        self._remove_hold(self._random.choice(HOLDABLE))

    def _remove_hold(self, name: str) -> None:
        with self._world.store.write() as tx:
            holds.remove(tx, name)

    def _kill_supervisor(self) -> None:
        self._world.machine.kill_supervisor()

    def _cut_off_cluster(self) -> None:
        self._world.machine.is_cut_off = not self._world.machine.is_cut_off

    def _set_clock(self) -> None:
        self._world.clock.step(timedelta(seconds=self._random.choice([-7200, -600, -30, -2, 2, 30, 600])))

    def _wild_clock(self) -> None:
        """Set the clock far ahead, and back again after a while. Due times in between may be missing in the ledger."""
        with self._world.real_store.read() as tx:
            cursors = [entry.cursor for entry in inventory.entries(tx).values()]
        begin = min([self._world.clock.now(), *cursors])
        self._world.clock.step(FAR)
        for _ in range(self._random.randrange(4)):
            self._world.pass_time(timedelta(seconds=self._random.choice([1, 30, 600])))
            self._guarded(lambda: self._world.turn(is_tick=True))
        self._world.clock.step(-FAR)
        self._gaps.append((begin, self._world.clock.now()))

    def _downtime(self) -> None:
        self._world.pass_time(timedelta(minutes=self._random.choice([1, 30, 400])))
        self._world.boot()

    def _summary(self) -> str:
        with self._world.real_store.read() as tx:
            all_runs = select_all(tx, RunFilter())
        lines = [f"{run.id} {run.deployment} {run.state} {run.attempt} {run.reason}" for run in all_runs]
        return "\n".join([*self.trace, *lines])
