"""The deployments that have deadlines now, and the records of these deadlines. `deadlines` reads it at each check.

A deployment that is suspended or held is not expected to run, so it has no deadlines until that ends.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.notifications import DeadlineKind, DeadlineRecord
from controller.model.runs import first_unread_id
from controller.model.status import Hold
from controller.notify.declared import DeclaredDeployments
from controller.records import dataclass
from controller.store import deadlines, holds, runs
from controller.store.deadlines import TimedRun
from controller.store.store import Transaction

Key = tuple[str, DeadlineKind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The changes of a refresh.

    - `changed`: deadlines that are new, or whose deployment has changed. `adjusted`: missed ones with another length.
    - `removed`: records of deadlines that no longer apply.
    """

    changed: set[Key]
    adjusted: set[Key]
    removed: list[DeadlineRecord]


class DeadlineInventory:
    """The deployments and the records, read again only if a pass or a hold may have changed them."""

    def __init__(self, built: ActiveDeployments) -> None:
        self._declared = DeclaredDeployments(built, "expect")
        self._held: set[str] = set()
        self._last_id: str | None = None
        self.deployments: dict[str, Deployment] = {}
        self.records: dict[Key, DeadlineRecord] = {}

    def is_stale(self, tx: Transaction, now: datetime) -> bool:
        """Return whether `refresh` may change something."""
        return self._declared.is_stale(tx) or _held_names(holds.find_all(tx), now) != self._held

    def refresh(self, tx: Transaction, now: datetime, *, reload: bool) -> Refreshed:
        """Read what may have changed, and record the deadlines that are new. With `reload`, read everything."""
        changed = self._declared.refresh(tx, reload=reload)
        every_hold = holds.find_all(tx)
        held = _held_names(every_hold, now)
        if changed is None and held == self._held:
            return Refreshed(changed=set(), adjusted=set(), removed=[])
        names, before = (changed or set()) | (held ^ self._held), self.deployments
        if changed is not None:
            self._read_records(tx, None if reload else changed)
        if reload:
            names |= {*before, *(name for name, _ in self.records)}
        self._held, self.deployments = held, before.copy()
        for name in names:
            deployment = self._declared.deployments.get(name)
            if deployment is None or deployment.suspend or name in held:
                self.deployments.pop(name, None)
            else:
                self.deployments[name] = deployment
        adjusted = self._adjust(tx, now, every_hold, names)
        removed = self._remove_obsolete(tx, names)
        others = (name for name in names if reload or before.get(name) is not self.deployments.get(name))
        return Refreshed(changed=self._keys(others) | adjusted, adjusted=adjusted, removed=removed)

    def _read_records(self, tx: Transaction, names: Collection[str] | None) -> None:
        """Read the records of these deployments again; None: all."""
        old = [*self.records] if names is None else self._keys(names)
        for key in old:
            del self.records[key]
        self.records |= {(record.deployment, record.kind): record for record in deadlines.find_all(tx, names)}

    def _keys(self, names: Iterable[str]) -> set[Key]:
        """Return the keys of the records of these deployments."""
        return {(name, kind) for name in names for kind in DeadlineKind} & self.records.keys()

    def new_manual_runs(self, tx: Transaction) -> list[TimedRun]:
        """Return the runs without a due time that were created since the last call; none for the first call."""
        last, self._last_id = self._last_id, runs.newest_id(tx) or ""
        if last is None:
            return []
        return deadlines.find_new_manual_runs(tx, first_unread_id(last))

    def _adjust(self, tx: Transaction, now: datetime, every_hold: dict[str, Hold], names: Collection[str]) -> set[Key]:
        """Add records of new deadlines of these deployments, and change those with another length.

        Return those that must be evaluated.
        """
        new: dict[Key, DeadlineRecord] = {}
        for deployment in self._of(names):
            hold = every_hold.get(deployment.name)
            resumed_at = now if hold is None or hold.until is None else min(hold.until, now)
            for kind, length in declared_lengths(deployment):
                key = (deployment.name, kind)
                old = self.records.get(key)
                if old is None:
                    is_success = kind is DeadlineKind.SUCCESS_EVERY
                    checked_at = resumed_at if is_success else resumed_at + length  # no earlier due time has a deadline
                    new[key] = DeadlineRecord(deployment=key[0], kind=kind, length=length, checked_at=checked_at)
                elif old.length != length:
                    new[key] = _with_length(old, length, now)
        self.records |= new
        deadlines.save(tx, new.values())
        return {key for key, record in new.items() if record.miss is not None}

    def _remove_obsolete(self, tx: Transaction, names: Collection[str]) -> list[DeadlineRecord]:
        current = {(of.name, kind) for of in self._of(names) for kind, _ in declared_lengths(of)}
        removed = [self.records.pop(key) for key in sorted(self._keys(names) - current)]
        deadlines.remove(tx, removed)
        return removed

    def _of(self, names: Iterable[str]) -> list[Deployment]:
        """Return those of these deployments that have deadlines now."""
        return [self.deployments[name] for name in sorted(names) if name in self.deployments]


def declared_lengths(deployment: Deployment) -> Iterable[tuple[DeadlineKind, timedelta]]:
    """Yield the deadlines that the deployment declares."""
    for kind in DeadlineKind:
        length: timedelta | None = getattr(deployment.expect, kind.value)
        if length is not None:
            yield kind, length


def _held_names(every_hold: Mapping[str, Hold], now: datetime) -> set[str]:
    return {name for name, hold in every_hold.items() if not hold.is_over(now)}


def _with_length(record: DeadlineRecord, length: timedelta, now: datetime) -> DeadlineRecord:
    """Return the record with another length: earlier due times are not evaluated again, except for the missed one."""
    is_success = record.kind is DeadlineKind.SUCCESS_EVERY
    miss, change = record.miss, length - record.length
    if miss is not None:
        miss = replace(miss, since=miss.since + change, deadline=miss.deadline + change)
    return replace(record, length=length, checked_at=record.checked_at if is_success else now, miss=miss)
