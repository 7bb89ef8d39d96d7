"""Reads what messages tell about the reported deployments: their failed runs, and what changed since they last worked.

Called by `evaluation` in its transaction, only if messages are due.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC, tzinfo

from controller import schedules
from controller.errors import ControllerError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.commits import Commit, RecordedCommit, commit_id
from controller.model.notifications import Trouble
from controller.model.runs import Run, RunId
from controller.model.status import InventoryEntry
from controller.notify.incidents import Report
from controller.records import dataclass
from controller.store import Transaction, commits, inventory, run_outcomes, runs, source_status
from controller.store.run_outcomes import FailedRun

MAX_COMMITS = 100
_OF_MANIFESTS = (Trouble.INVALID, Trouble.WITHHELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The commits since the deployment last worked, newest first. `own` are those that changed its declaration."""

    commits: tuple[RecordedCommit, ...] = ()
    own: tuple[RecordedCommit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts about the reported deployments, by name or by the id of a failed run.

    `run_commits` are the commits of the failed runs. `head` is the newest commit, if manifests are invalid or deletions
    wait for approval.
    """

    entries: Mapping[str, InventoryEntry] = field(default_factory=dict)
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)
    last_successes: Mapping[str, Run] = field(default_factory=dict)
    changes: Mapping[str, Changes] = field(default_factory=dict)
    run_commits: Mapping[str, Commit] = field(default_factory=dict)
    head: Commit | None = None


def read_facts(tx: Transaction, reports: Sequence[Report], deployments: ActiveDeployments) -> Facts:
    """Return the facts for these reports: about all named deployments, and about the first failed run of each."""
    members = [member for report in reports for member in (*report.failing, *report.recovered)]
    entries = {entry.name: entry for entry in inventory.find_many(tx, {member.subject for member in members})}
    first = [next(iter(report.new or report.failing or report.recovered), None) for report in reports]
    ids = {RunId(member.run_id) for member in first if member is not None and member.run_id is not None}
    failed = runs.find_all(tx, sorted(ids))
    listed = [FailedRun(deployment=run.deployment, run_id=run.id) for run in failed.values()]
    successes = run_outcomes.last_successes(tx, listed) if listed else {}
    by_sha = commits.find_all(tx, {run.revision for run in failed.values()})
    return Facts(
        entries=entries,
        zones={name: _zone(entry, deployments) for name, entry in entries.items()},
        runs={str(number): run for number, run in failed.items()},
        last_successes=successes,
        changes={
            number: _changes(tx, success, failed[RunId(number)], entries.get(success.deployment))
            for number, success in successes.items()
        },
        run_commits={
            str(number): by_sha[sha] for number, run in failed.items() if (sha := commit_id(run.revision)) in by_sha
        },
        head=_find_head(tx) if any(report.incident.trouble in _OF_MANIFESTS for report in reports) else None,
    )


def _find_head(tx: Transaction) -> Commit | None:
    status = source_status.find(tx)
    return None if status is None else commits.find(tx, status.last_attempted_revision)


def _changes(tx: Transaction, success: Run, failed: Run, entry: InventoryEntry | None) -> Changes:
    if success.revision == failed.revision:
        return Changes()
    between = commits.between(tx, success.revision, failed.revision, MAX_COMMITS)
    name = failed.deployment
    own = [each for each in between if name in each.changed.names or name in each.added.names]
    if not own and success.spec_digest != failed.spec_digest and entry is not None and entry.changed_in:
        own = [each for each in between if each.sha == commit_id(entry.changed_in)]
    return Changes(commits=tuple(between), own=tuple(own))


def _zone(entry: InventoryEntry, deployments: ActiveDeployments) -> tzinfo:
    """Return the time zone of the first schedule of a deployment."""
    try:
        declared = deployments.build(entry).schedules
        return schedules.zone(declared[0].timezone) if declared else UTC
    except ControllerError:
        return UTC
