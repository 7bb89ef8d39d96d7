"""The waiting runs in memory, ordered so that finding the next one costs the same however many wait.

`queue` fills it from the store, and tells it which runs start and end. The order and the reasons for waiting are those
of `model.queues`: a run with a higher priority comes first; at equal priority the deployments take turns, and within a
deployment the oldest run comes first, redo runs after all others.

A run that can't start is examined again only when what it waits for has changed: a run of its deployment or its
backfill has ended, or there is a free slot. Holds and times are read again with the whole queue, and so are the runs
whose code was being exported.
"""

import heapq
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from controller.model.queues import EVERYTHING, Load, QueuedRun, WaitKind, WaitReason, start_reason, waiting_reason
from controller.model.runs import AUTOMATIC, Run, RunId

_by_id = attrgetter("id")


class _Group(NamedTuple):
    """Runs between which only their age and their kind decide."""

    deployment: str
    queue: str
    priority: int


class _Kind(NamedTuple):
    """Everything that the reason of a waiting run depends on, apart from its deployment, queue and priority."""

    is_redo: bool
    serial: bool
    backfill_id: str | None
    is_paused: bool
    overlap_limit: int
    parallel: int
    can_be_held: bool


class _Place(NamedTuple):
    """A thing that runs wait for, for example the end of another run of their deployment."""

    kind: WaitKind
    name: str


_Key = tuple[int, int, RunId, _Group]
"""The place of a group in the heap of its queue: priority, last turn of the deployment, the first run."""


class Turns:
    """The number of the last turn of each deployment, which grows with every turn; -1 before the first."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}
        self._earlier: dict[str, int | None] = {}
        self._count = 0

    def of(self, deployment: str) -> int:
        """Return the number of the last turn of a deployment."""
        return self._turns.get(deployment, -1)

    def record(self, deployment: str) -> None:
        """Record that a run of this deployment starts."""
        self._count += 1
        self._earlier[deployment] = self._turns.get(deployment)
        self._turns[deployment] = self._count

    def take_back(self, deployment: str) -> None:
        """Take back the last turn of a deployment, because its run could not start."""
        earlier = self._earlier.pop(deployment, None)
        if earlier is None:
            self._turns.pop(deployment, None)
        else:
            self._turns[deployment] = earlier


class WaitingRuns:
    """The waiting runs, and the load as it is once the taken ones have started.

    `examined` counts how often it was determined whether a run can start.
    """

    def __init__(self, waiting: Iterable[QueuedRun], load: Load, now: datetime, turns: Turns) -> None:
        self._load = load
        self._now = now
        self._turns = turns
        self._running = Counter(load.running)
        self._busy = {name: {key: list(ids) for key, ids in by_key.items()} for name, by_key in load.busy.items()}
        self._lines: dict[_Group, dict[_Kind, list[QueuedRun]]] = {}
        self._groups: dict[str, set[_Group]] = defaultdict(set)
        self._heaps: dict[str, list[_Key]] = defaultdict(list)
        self._keys: dict[_Group, _Key] = {}
        self._parked: dict[_Place, set[_Group]] = defaultdict(set)
        self._taken: dict[RunId, QueuedRun] = {}
        self._aside: Collection[RunId] = ()
        self._exporting: Collection[str] = ()
        self.examined = 0
        for run in sorted(waiting, key=_by_id):
            self._add(run)
        for group in self._lines:
            self._push(group)

    def take(self, most: int, except_for: Collection[RunId] = (), exporting: Collection[str] = ()) -> list[QueuedRun]:
        """Return up to `most` runs that can start, in order, and treat them as started. Those of `except_for` stay.

        Runs of the revisions `exporting` stay too, and so do later runs of their deployment, which keep their order.
        """
        self._aside, self._exporting = except_for, exporting
        taken: list[QueuedRun] = []
        while len(taken) < most and not self._is_full(EVERYTHING):
            group = self._pop()
            if group is None:
                break
            run, places = self._first(group)
            if run is None:
                for place in places:
                    self._parked[place].add(group)
                continue
            self._start(run, group)
            taken.append(run)
        return taken

    def give_back(self, run_id: RunId) -> None:
        """Return a taken run that could not start to its place."""
        run = self._taken.get(run_id)
        if run is None:
            return
        self._release(run)
        self._turns.take_back(run.deployment)
        self._add(run)
        self._push(_group(run))

    @property
    def has_candidates(self) -> bool:
        """Whether there are runs that have not been found to wait for something."""
        return bool(self._keys)

    @property
    def running(self) -> int:
        """The number of runs in progress."""
        return self._running[EVERYTHING]

    def end(self, run: Run | QueuedRun) -> bool:
        """Free the places of a run that has ended. Return False if it is not known to have been in progress."""
        taken = self._taken.get(run.id)
        return self._release(run if taken is None else taken)

    def _add(self, run: QueuedRun) -> None:
        group = _group(run)
        insort(self._lines.setdefault(group, {}).setdefault(_kind(run), []), run, key=_by_id)
        self._groups[run.deployment].add(group)

    def _start(self, run: QueuedRun, group: _Group) -> None:
        kinds = self._lines[group]
        kinds[_kind(run)].remove(run)
        if not kinds[_kind(run)]:
            del kinds[_kind(run)]
        if not kinds:
            del self._lines[group]
            self._groups[run.deployment].discard(group)
        self._taken[run.id] = run
        self._running.update(_places_of(run))
        self._busy.setdefault(run.deployment, {}).setdefault(run.backfill_id, []).append(run.id)
        self._turns.record(run.deployment)
        self._push(group)
        self._unpark(_Place(WaitKind.DEPLOYMENT, run.deployment))  # a redo run may have waited for this one

    def _release(self, run: Run | QueuedRun) -> bool:
        others = self._busy.get(run.deployment, {}).get(run.backfill_id, [])
        if run.id not in others:
            return False
        others.remove(run.id)
        self._taken.pop(run.id, None)
        self._running.subtract(_places_of(run))
        self._unpark(_Place(WaitKind.DEPLOYMENT, run.deployment))
        self._unpark(_Place(WaitKind.BACKFILL, run.backfill_id or ""))
        for name in (run.queue, EVERYTHING):
            self._unpark(_Place(WaitKind.LAST_SLOT, name))
        return True

    def _unpark(self, place: _Place) -> None:
        for group in self._parked.pop(place, ()):
            self._push(group)

    def _push(self, group: _Group) -> None:
        """Put a group with waiting runs into the heap of its queue, with its current key."""
        kinds = self._lines.get(group)
        if kinds is None:
            self._keys.pop(group, None)
            return
        first = min((kind.is_redo, line[0].id) for kind, line in kinds.items())[1]
        key = (-group.priority, self._turns.of(group.deployment), first, group)
        if self._keys.get(group) != key:
            self._keys[group] = key
            heapq.heappush(self._heaps[group.queue], key)

    def _pop(self) -> _Group | None:
        """Return the first group of all queues that have a free slot, and remove it from its heap."""
        while True:
            heads = [self._heaps[name] for name in self._heaps if self._heaps[name] and not self._is_full(name)]
            if not heads:
                return None
            heap = min(heads, key=lambda heap: heap[0])
            key = heapq.heappop(heap)
            group = key[3]
            if self._keys.get(group) != key:
                continue  # it has another key by now
            del self._keys[group]
            if key[1] == self._turns.of(group.deployment):
                return group
            self._push(group)

    def _is_full(self, name: str) -> bool:
        limit = self._load.limits.get(name)
        return limit is not None and self._running[name] >= limit

    def _first(self, group: _Group) -> tuple[QueuedRun | None, list[_Place]]:
        """Return the first run of a group that can start; if there is none, what its runs wait for."""
        heads = [self._head(line) for line in self._lines[group].values()]
        places = []
        for run in sorted((run for run in heads if run is not None), key=lambda run: (run.is_redo, run.id)):
            if run.revision in self._exporting:
                break
            reason = self._reason(run)
            if reason is None:
                return run, []
            if reason.kind in (WaitKind.DEPLOYMENT, WaitKind.BACKFILL, WaitKind.LAST_SLOT):
                name = {WaitKind.DEPLOYMENT: run.deployment, WaitKind.BACKFILL: run.backfill_id or ""}
                places.append(_Place(reason.kind, name.get(reason.kind, reason.place)))
        return None, places

    def _reason(self, run: QueuedRun) -> WaitReason | None:
        self.examined += 1
        reason = start_reason(run, self._load, self._now)
        if reason is not None:
            return reason
        first = self._goes_first(run) if run.is_redo and run.serial else {}
        return waiting_reason(run, self._load, self._running, self._busy, first)

    def _goes_first(self, redo: QueuedRun) -> Mapping[str, RunId]:
        """Return a waiting run of the same deployment that goes before its redo runs, if there is one."""
        for group in self._groups[redo.deployment]:
            for kind, line in self._lines[group].items() if group.priority >= redo.priority else ():
                head = self._head(line) if kind.serial and not kind.is_redo else None
                if head is not None and start_reason(head, self._load, self._now) is None:
                    return {redo.deployment: head.id}
        return {}

    def _head(self, line: list[QueuedRun]) -> QueuedRun | None:
        return next((run for run in line if run.id not in self._aside), None)


def _group(run: QueuedRun) -> _Group:
    return _Group(run.deployment, run.queue, run.priority)


def _kind(run: QueuedRun) -> _Kind:
    can_be_held = run.trigger in AUTOMATIC and not run.attempt
    return _Kind(run.is_redo, run.serial, run.backfill_id, run.is_paused, run.overlap_limit, run.parallel, can_be_held)


def _places_of(run: Run | QueuedRun) -> list[str]:
    return [run.queue, EVERYTHING, *([run.backfill_id] if run.backfill_id else [])]
