"""The commits that a pass has seen, and which of them changed or removed each deployment. Called by `reconciler`.

A new revision costs one git process more, which lists the commits since the last one. Where these do not tell which
commit touched a file last, for example in the first pass, more of the history is listed.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from controller.errors import SourceError
from controller.model.commits import MAX_NAMES, DeploymentNames, ListedCommit, RecordedCommit, commit_id
from controller.model.snapshots import PROJECT_FILE
from controller.model.status import WITHHELD, InventoryEntry
from controller.reconcile.plan import Plan
from controller.records import dataclass
from controller.sources.source import Source
from controller.store import Store, Transaction, commits, inventory

log = logging.getLogger(__name__)

MAX_RECORDED = 200
"""Maximum number of commits that a pass records besides those that changed or removed a deployment."""
MAX_LISTED = 2000
"""Maximum number of commits that a pass lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFacts:
    """The commits to record, oldest first, and the last commit that touched each file, by its path.

    `recent` covers the commits since the last pass, `by_file` all that were listed. `filled` are active deployments
    that had no commit yet, with that of their file.
    """

    commits: tuple[RecordedCommit, ...] = ()
    recent: Mapping[str, str] = field(default_factory=dict)
    by_file: Mapping[str, str] = field(default_factory=dict)
    filled: Mapping[str, InventoryEntry] = field(default_factory=dict)

    def changed_in(self, file: str, before: InventoryEntry | None = None) -> str | None:
        """Return the commit that changed or removed a document in this file, whose last version is `before`."""
        if before is None or file in self.recent:
            return self.by_file.get(file)
        # The defaults and overlays of the project file are a part of the document.
        known = before.changed_in if before.file == file else None
        return self.recent.get(PROJECT_FILE) or self.by_file.get(file) or known


def read_commit_facts(
    source: Source, store: Store, plan: Plan, recorded: Mapping[str, InventoryEntry], last: str | None
) -> CommitFacts:
    """Return the commits between the `last` revision that a pass has seen and that of the plan, with what they changed.

    `recorded` are the active deployments. If git can't list the commits, the pass does not fail: it records nothing
    about them.
    """
    if not source.is_pinned:
        return CommitFacts()
    with store.read() as tx:
        since = last if commits.find(tx, last) is not None else None
    try:
        facts = _read(source, plan, since)
    except (SourceError, OSError) as error:
        log.warning("The commits can't be listed", extra={"revision": plan.revision, "error": str(error)})
        return CommitFacts()
    if since is not None:
        return facts
    unknown = (entry for entry in recorded.values() if entry.changed_in is None and entry.file in facts.by_file)
    filled = {entry.name: replace(entry, changed_in=facts.by_file[entry.file]) for entry in unknown}
    return replace(facts, filled=filled)


def record_commits(tx: Transaction, facts: CommitFacts) -> None:
    """Record the commits, and the entries that had no commit yet."""
    commits.save(tx, facts.commits)
    inventory.fill_changed_in(tx, {name: entry.changed_in for name, entry in facts.filled.items()})


def _read(source: Source, plan: Plan, since: str | None) -> CommitFacts:
    is_same = since is not None and commit_id(since) == commit_id(plan.revision)
    listed = [] if is_same else source.commits(plan.revision, since, MAX_LISTED)
    recent = by_file = _last_by_file(listed)
    names = [commit.sha for commit in listed[:MAX_RECORDED]]
    if since is not None and not _files(plan) <= by_file.keys():
        listed = source.commits(plan.revision, None, MAX_LISTED)
        by_file = _last_by_file(listed)
    used = {*names, *recent.values(), *(by_file[file] for file in _files(plan) if file in by_file)}
    deployments = _deployments(plan, recent)
    recorded = [_record(commit, deployments.get(commit.sha, {})) for commit in reversed(listed) if commit.sha in used]
    return CommitFacts(commits=tuple(recorded), recent=recent, by_file=by_file)


def _last_by_file(listed: Iterable[ListedCommit]) -> dict[str, str]:
    last: dict[str, str] = {}
    for commit in listed:
        for file in commit.files:
            last.setdefault(file, commit.sha)
    return last


def _files(plan: Plan) -> set[str]:
    """Return the files whose last commit must be known to apply the plan."""
    files = {new.file for new in plan.create} | {entry.file for entry in plan.delete}
    return files | {change.after.file for change in plan.update if change.after.file != change.before.file}


def _deployments(plan: Plan, recent: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Return the names of the deployments that each commit `added`, `changed` or `removed`, by the id of the commit."""
    project = recent.get(PROJECT_FILE)
    triples = [(recent.get(new.file), "added", new.name) for new in plan.create]
    updates = (change.after for change in plan.update if change.changes_content)
    triples += [(recent.get(new.file, project), "changed", new.name) for new in updates]
    withheld = (kept.entry for kept in plan.keep if kept.reason == WITHHELD)
    triples += [(recent.get(entry.file), "removed", entry.name) for entry in (*plan.delete, *withheld)]
    names: dict[str, dict[str, list[str]]] = {}
    for sha, change, name in triples:
        if sha is not None:
            names.setdefault(sha, {}).setdefault(change, []).append(name)
    return names


def _record(commit: ListedCommit, names: Mapping[str, list[str]]) -> RecordedCommit:
    return RecordedCommit(
        sha=commit.sha,
        author=commit.author,
        author_date=commit.author_date,
        subject=commit.subject,
        **{
            change: DeploymentNames(count=len(deployments), names=tuple(sorted(deployments)[:MAX_NAMES]))
            for change, deployments in names.items()
        },
    )
