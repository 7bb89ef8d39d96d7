"""Starts the runs of deployments without schedules when their upstream deployments have finished.

`upstreams` calls it for each finished upstream run, in the transaction that removes it from `finished_upstreams`. So an
upstream run is counted once, and the run that it releases has an idempotency key of the ids of its upstream runs. The
number of statements does not depend on the number of dependants.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from controller.manifests.run_references import MissingValueError
from controller.model.deployments import Deployment
from controller.model.gates import is_fulfilled
from controller.model.policies import Overlap
from controller.model.runs import Run, RunId, RunOutcome, Trigger, UpstreamRun
from controller.model.status import InventoryEntry
from controller.model.triggers import OnRedo, Upstream
from controller.records import dataclass
from controller.runs.admission import Admission
from controller.runs.due_times import Replacement, replace_all
from controller.runs.outcomes import record_outcomes, skip_all
from controller.runs.upstream_runs import missing_value, nominal_time, to_upstream_runs, with_results
from controller.store import Transaction, releases, runs, source_status, upstream_lookup
from controller.store.releases import Release


@dataclass(frozen=True, slots=True)
class Dependant:
    """An active deployment, and what it declares about the upstream deployment whose run has finished."""

    entry: InventoryEntry
    deployment: Deployment
    upstream: Upstream


@dataclass(frozen=True, slots=True)
class _Released:
    """A deployment with the latest run of each of its upstream deployments, and all that they use up."""

    dependant: Dependant
    latest: Sequence[Release]
    pending: Sequence[Release]

    @property
    def key(self) -> str:
        """The idempotency key of the run."""
        return release_key(release.upstream_run_id for release in self.latest)


def count_runs(
    tx: Transaction, admission: Admission, finished: Iterable[tuple[Run, Sequence[Dependant]]], now: datetime
) -> None:
    """Count finished runs, each of an upstream deployment of its dependants, and create the runs that they release.

    The runs are counted in their order. Those with different dependants are counted together.
    """
    together: list[tuple[Run, Dependant]] = []
    names: set[str] = set()
    for run, dependants in finished:
        interested = [(run, each) for each in dependants if is_fulfilled(each.upstream.on, run.state)]
        of_run = {each.entry.name for _, each in interested}
        if names & of_run:
            _count_together(tx, admission, together, now)
            together, names = [], set()
        together += interested
        names |= of_run
    _count_together(tx, admission, together, now)


def _count_together(
    tx: Transaction, admission: Admission, interested: Sequence[tuple[Run, Dependant]], now: datetime
) -> None:
    """Count these runs, each for one dependant. No dependant occurs twice."""
    if not interested:
        return
    chains = chains_of(tx, list({run.id: run for run, _ in interested}.values()))
    earlier = releases.find_all(tx, {(each.entry.name, run.deployment, chains[run.id]) for run, each in interested})
    counted: dict[str, Release] = {}
    for run, each in interested:
        before = earlier.get((each.entry.name, run.deployment, chains[run.id]))
        if before is not None and before.run_id is not None and each.upstream.on_redo is OnRedo.IGNORE:
            continue
        counted[each.entry.name] = Release(
            deployment=each.entry.name,
            upstream=run.deployment,
            chain=chains[run.id],
            upstream_run_id=run.id,
            finished_at=run.finished_at or now,
            first_run_id=run.id if before is None else before.first_run_id,
        )
    releases.save_all(tx, counted.values())
    _create_runs(tx, admission, _find_released(tx, [each for _, each in interested], counted), now)


def _find_released(tx: Transaction, interested: Iterable[Dependant], counted: Mapping[str, Release]) -> list[_Released]:
    """Return the deployments whose upstream deployments have all finished, or with `any` this one."""
    waiting = [each for each in interested if each.entry.name in counted]
    need_all = [each.entry.name for each in waiting if not each.deployment.after.any]
    of_all = releases.find_pending(tx, need_all)
    released = []
    for each in waiting:
        name, after = each.entry.name, each.deployment.after
        pending = [counted[name]] if after.any else of_all.get(name, [])
        latest = {release.upstream: release for release in pending}  # the last one of each upstream deployment
        if after.any or all(upstream.deployment in latest for upstream in after.upstreams):
            released.append(_Released(each, list(latest.values()), pending))
    return released


def _create_runs(tx: Transaction, admission: Admission, released: Sequence[_Released], now: datetime) -> None:
    if not released:
        return
    existing = runs.ids_by_keys(tx, [(each.dependant.entry.name, each.key) for each in released])
    ids = {release.upstream_run_id for each in released for release in each.latest}
    upstream_runs = to_upstream_runs(tx, runs.find_all(tx, sorted(ids)))
    revision = source_status.applied_revision(tx)
    created: list[tuple[_Released, Run]] = []
    failed: list[tuple[Run, RunOutcome]] = []
    used: list[tuple[Release, RunId]] = []
    for each in released:
        run_id = existing.get((each.dependant.entry.name, each.key))
        if run_id is None:
            run = _new_run(tx, admission, each, upstream_runs, revision)
            created.append((each, run))
            run_id = run.id
        used += [(release, run_id) for release in each.pending]
    ready = []
    for each, run in created:
        if each.dependant.deployment.suspend:
            ready.append(run)
            continue
        try:
            ready.append(with_results(admission.with_variables(run), run.upstream))
        except MissingValueError as error:
            ready.append(run)
            failed.append((run, missing_value(error)))
    runs.insert_all(tx, ready)
    releases.mark_released(tx, used)
    skip_all(tx, [(run, "suspended") for each, run in created if each.dependant.deployment.suspend], now)
    replace_all(tx, [_replacement(each, run) for each, run in created if _replaces_others(each)], now)
    record_outcomes(tx, failed, now)


def _replaces_others(released: _Released) -> bool:
    deployment = released.dependant.deployment
    return deployment.overlap is Overlap.REPLACE and not deployment.suspend


def _replacement(released: _Released, run: Run) -> Replacement:
    keep = released.dependant.deployment.overlap_limit - 1
    return Replacement(deployment=run.deployment, by=run.id, keep=keep)


def _new_run(
    tx: Transaction,
    admission: Admission,
    released: _Released,
    upstream_runs: Mapping[RunId, UpstreamRun],
    revision: str | None,
) -> Run:
    entry = released.dependant.entry
    found = (release for release in released.latest if release.upstream_run_id in upstream_runs)
    upstream = tuple(upstream_runs[release.upstream_run_id] for release in found)
    return admission.triggered_run(
        tx,
        entry,
        Trigger.UPSTREAM,
        due_time=nominal_time(upstream),
        idempotency_key=released.key,
        serial=released.dependant.deployment.overlap is not Overlap.ALLOW,
        upstream=upstream,
        revision=entry.pinned or revision or entry.revision,
        chain=_common_chain(released.latest),
    )


def release_key(upstream_runs: Iterable[RunId]) -> str:
    """Return the idempotency key of the run that these upstream runs release."""
    return " ".join(["upstream:", *sorted(upstream_runs)])


def _common_chain(latest: Iterable[Release]) -> str:
    """Return what all runs have in common that upstream runs of the same chains release. No name is a part of it."""
    first = " ".join(sorted(release.first_run_id for release in latest))
    return hashlib.sha256(first.encode()).hexdigest()


def chain_of(tx: Transaction, run: Run) -> str:
    """Return what all runs of the same due time, or of the same chain of retries, have in common.

    The runs that upstream runs of the same chains have released are of one chain, too.
    """
    return chains_of(tx, [run])[run.id]


def chains_of(tx: Transaction, finished: Sequence[Run]) -> dict[RunId, str]:
    """Return the chain of each of these runs: see `chain_of`."""
    unknown = {run.id: run for run in finished if run.scheduled_for is None and run.chain is None}
    chains = {run_id: first.id for run_id, first in upstream_lookup.find_first_runs(tx, unknown).items()}
    due = {run.id: run.scheduled_for.isoformat() for run in finished if run.scheduled_for is not None}
    return {**{run.id: run.chain for run in finished if run.chain is not None}, **chains, **due}
