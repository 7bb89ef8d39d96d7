"""Starts the runs of deployments without schedules when their upstream deployments have finished.

`upstreams` calls it for each finished upstream run, in the transaction that removes it from `finished_upstreams`. So an
upstream run is counted once, and the run that it releases has an idempotency key of the ids of its upstream runs.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from controller.model.deployments import Deployment
from controller.model.gates import is_fulfilled
from controller.model.policies import Overlap
from controller.model.runs import Run, RunId, Trigger
from controller.model.status import InventoryEntry
from controller.model.triggers import OnRedo, Upstream
from controller.runs.admission import Admission
from controller.runs.due_times import replace_all
from controller.runs.outcomes import skip
from controller.runs.upstream_runs import nominal_time, release, to_upstream_run
from controller.store import Transaction, releases, runs
from controller.store.releases import Release


def count_run(
    tx: Transaction, admission: Admission, entry: InventoryEntry, upstream: Upstream, run: Run, now: datetime
) -> None:
    """Count a finished run of an upstream deployment, and create the run that it releases, if it does."""
    if not is_fulfilled(upstream.on, run.state):
        return
    chain = chain_of(tx, run)
    earlier = releases.find(tx, entry.name, run.deployment, chain)
    if earlier is not None and earlier.run_id is not None and upstream.on_redo is OnRedo.IGNORE:
        return
    release_of_run = Release(
        deployment=entry.name,
        upstream=run.deployment,
        chain=chain,
        upstream_run_id=run.id,
        finished_at=run.finished_at or now,
    )
    releases.save(tx, release_of_run)
    deployment = admission.deployment(entry)
    pending = [release_of_run] if deployment.after.any else releases.find_pending(tx, entry.name)
    latest = {release.upstream: release for release in pending}  # the last one of each upstream deployment
    is_complete = deployment.after.any or all(each.deployment in latest for each in deployment.after.upstreams)
    if is_complete:
        _create_run(tx, admission, entry, deployment, list(latest.values()), pending, now)


def _create_run(
    tx: Transaction,
    admission: Admission,
    entry: InventoryEntry,
    deployment: Deployment,
    latest: Sequence[Release],
    pending: Sequence[Release],
    now: datetime,
) -> None:
    key = release_key(release.upstream_run_id for release in latest)
    existing = runs.find_by_key(tx, entry.name, key)
    if existing is not None:
        releases.mark_released(tx, pending, existing.id)
        return
    stored = runs.find_all(tx, [release.upstream_run_id for release in latest])
    upstream = [to_upstream_run(tx, stored[each.upstream_run_id]) for each in latest if each.upstream_run_id in stored]
    run = admission.triggered_run(
        tx,
        entry,
        Trigger.UPSTREAM,
        due_time=nominal_time(upstream),
        idempotency_key=key,
        serial=deployment.overlap is not Overlap.ALLOW,
        upstream=tuple(upstream),
    )
    runs.insert_all(tx, [run])
    releases.mark_released(tx, pending, run.id)
    if deployment.suspend:
        skip(tx, run, "suspended", now)
        return
    if deployment.overlap is Overlap.REPLACE:
        replace_all(tx, entry.name, now, by=run.id, keep=deployment.overlap_limit - 1)
    release(tx, run, upstream, now)


def release_key(upstream_runs: Iterable[RunId]) -> str:
    """Return the idempotency key of the run that these upstream runs release."""
    return " ".join(["upstream:", *sorted(upstream_runs)])


def chain_of(tx: Transaction, run: Run) -> str:
    """Return what all runs of the same due time, or of the same chain of retries, have in common.

    The runs that upstream runs of the same chains have released are of one chain, too.
    """
    return _chain_of(tx, run, {})


def _chain_of(tx: Transaction, run: Run, chains: dict[RunId, str]) -> str:
    if run.scheduled_for is not None:
        return run.scheduled_for.isoformat()
    first = runs.find_first(tx, run)
    if first.trigger is not Trigger.UPSTREAM or not first.upstream:
        return first.id
    if first.id not in chains:
        stored = runs.find_all(tx, [released.run_id for released in first.upstream])
        of_upstream = [
            f"{each.deployment} {_chain_of(tx, stored[each.run_id], chains) if each.run_id in stored else each.run_id}"
            for each in sorted(first.upstream, key=lambda each: each.deployment)
        ]
        chains[first.id] = hashlib.sha256("\n".join(of_upstream).encode()).hexdigest()
    return chains[first.id]
