"""Formats a plan as text for a terminal and as Markdown for a comment on a pull request. `controller plan` calls it."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from controller.cli.formats.holiday_lines import holiday_lines
from controller.model.commits import Commit
from controller.model.findings import Finding, Severity
from controller.model.graph import describe_edge
from controller.model.snapshots import PROJECT_FILE
from controller.reconcile.preview import DeploymentChange, EnvironmentPlan, Preview
from controller.reconcile.project_changes import QueueChange
from controller.reconcile.python_changes import PackageChange, PythonChange
from controller.text import join_or, visible
from controller.time_format import format_time

_SIGNS = {"delete": "-", "update": "~", "create": "+"}
_LONGEST = 120
_MOST_FINDINGS = 50
_MOST_NAMES = 10
_MOST_PACKAGES = 20
_MOST_EDGES = 50
_MOST_ROWS, _MOST_DETAILS, _MOST_NOTES, _MOST_OTHERS = 23_000, 23_000, 8_000, 4_000
"""Maximum number of characters per part of the Markdown: GitHub limits comments to 65,536."""


def as_text(view: Preview) -> str:
    """Return a block per change, deletions first, then the findings, each environment that differs, and the summary."""
    lines = [*_changes(view), *_other_changes(view), *_notes(view)]
    for names, plan in _environments(view):
        lines += ["", f"{_environment_title(names)}: {_environment_counts(view, plan)}"]
        own = _own_part(view, plan)
        details = (*_changes(own), *_graph_lines(own), *_notes(own), *_same_as_above(plan, own))
        lines += [f"  {line}" for line in details]
        lines += [f"  Digest {plan.digest}", *(f"  {line}" for line in _withheld(plan, _in(names)))]
    if lines:
        lines.append("")
    return "\n".join(visible(line) for line in (*lines, *_summary(view))).lstrip("\n")


def as_markdown(view: Preview) -> str:
    """Return a heading with the counts, a table of changes with folded details, and each environment that differs."""
    groups = _environments(view)
    share = 1 + len(groups)
    lines = [f"### Plan: {_all_counts(view)}", ""]
    base, head = _short(view.base), _short(view.head)
    lines += [
        f"Base and head are the same revision: `{head}`" if view.base == view.head else f"`{base}` → `{head}`",
        *([] if view.commit is None else [_cell(_commit(view.commit))]),
        "",
    ]
    lines += [*_withheld_quote(view, _scope(view)), *_table(view, share)]
    other_changes = _fitting(map(_item, _other_changes(view)), _MOST_OTHERS)
    lines += [*other_changes, ""] if other_changes else []
    lines += [f"Digest `{view.digest}`"]
    for names, plan in groups:
        lines += ["", f"#### {_environment_title(names)}: {_environment_counts(view, plan)}", ""]
        own = _own_part(view, plan)
        lines += [*_withheld_quote(plan, _in(names)), *_table(own, share)]
        edges = _fitting((f"- {_cell(line)}" for line in _graph_lines(own)), _MOST_OTHERS // share)
        lines += [*edges, ""] if edges else []
        lines += [text for line in _same_as_above(plan, own) for text in (line, "")]
        lines.append(f"Digest `{plan.digest}`")
    return "\n".join(lines)


def _environments(view: Preview) -> list[tuple[list[str], EnvironmentPlan]]:
    """Return the plans that differ from the plan outside of environments, each with the names of its environments."""
    usual = view.as_environment("")
    groups: list[tuple[list[str], EnvironmentPlan]] = []
    for plan in view.environments:
        anonymous = replace(plan, name="")
        if anonymous == usual:
            continue
        names = next((names for names, first in groups if replace(first, name="") == anonymous), None)
        if names is None:
            groups.append(([plan.name], plan))
        else:
            names.append(plan.name)
    return groups


def _own_part(view: Preview, plan: EnvironmentPlan) -> EnvironmentPlan:
    """Return the part of an environment's plan that is not already in the plan above it."""
    usual = {(change.action, change.deployment): change for change in view.changes}
    return replace(
        plan,
        changes=tuple(change for change in plan.changes if usual.get((change.action, change.deployment)) != change),
        findings=tuple(finding for finding in plan.findings if finding not in view.findings),
        kept=tuple(deployment for deployment in plan.kept if deployment not in view.kept),
        graph=tuple(change for change in plan.graph if change not in view.graph),
    )


def _same_as_above(plan: EnvironmentPlan, own: EnvironmentPlan) -> Iterator[str]:
    count = len(plan.changes) - len(own.changes)
    if count and own.changes:
        yield f"{count} more {'change' if count == 1 else 'changes'} as above"


def _environment_title(names: list[str]) -> str:
    return f"Environment {names[0]}" if len(names) == 1 else f"Environments {', '.join(names)}"


def _environment_counts(view: Preview, plan: EnvironmentPlan) -> str:
    is_same = plan.summary == view.summary and not _own_part(view, plan).changes
    return "the same changes" if is_same else _counts(plan)


def _in(names: list[str]) -> str:
    return f" in {join_or(names)}"


def _withheld_quote(view: Preview | EnvironmentPlan, where: str) -> list[str]:
    """Return the withheld deletions as a quotation in Markdown."""
    if view.withheld is None:
        return []
    command = f"`controller approve {view.withheld.digest}`"
    return [
        f"> **Deletions will be withheld:** {view.withheld.reason}.",
        "",
        f"> To approve them{where}: {command}",
        "",
    ]


def _table(view: Preview | EnvironmentPlan, share: int) -> Iterator[str]:
    """Yield all changes, their details and the findings. The size limit of the comment is divided by `share`."""
    if view.changes:
        yield from ("| | deployment | declared in | next fire times |", "|---|---|---|---|")
        rows = _fitting(map(_row, view.changes), _MOST_ROWS // share)
        yield from (*rows, "")
        if len(rows) < len(view.changes):
            yield from (f"… and {len(view.changes) - len(rows)} more changes: `controller plan -o json`", "")
        yield from _fitting(filter(None, map(_fold, view.changes)), _MOST_DETAILS // share)
    notes = _fitting((f"- {_cell(note)}" for note in _notes(view)), _MOST_NOTES // share)
    if notes:
        yield from ("**Findings**", "", *notes, "")


def _other_changes(view: Preview) -> Iterator[str]:
    """Yield the changes outside of the documents: queues, controller.yaml, code and packages."""
    for queue in view.queues:
        yield f"~ queue {queue.queue}: {_limits(queue)}"
    for field in view.project:
        yield f"~ {PROJECT_FILE} {field.path}: {_value(field.before)} -> {_value(field.after)}"
    deployments_by_files: dict[tuple[str, ...], list[str]] = {}
    for change in view.code:
        deployments_by_files.setdefault(change.files, []).append(change.deployment)
    for files, names in deployments_by_files.items():
        yield f"~ code of {_name_list(names)} changed: {', '.join(files)}"
    yield from _python_lines(view.python)
    yield from holiday_lines(view.holidays)
    yield from (
        f"! Python spec {spec.file} {spec.action}: its deployments are not compared, because plan executes no specs"
        for spec in view.specs
    )
    yield from _graph_lines(view)
    yield from (f"! the imports of {unread.file} were not followed: {unread.reason}" for unread in view.unread)


def _graph_lines(view: Preview | EnvironmentPlan) -> Iterator[str]:
    """Yield a line for each dependency that changes."""
    for change in view.graph[:_MOST_EDGES]:
        yield f"{'+' if change.action == 'added' else '-'} dependency: {describe_edge(change.edge)}"
    if len(view.graph) > _MOST_EDGES:
        yield f"~ and {len(view.graph) - _MOST_EDGES} more dependencies: `controller plan -o json`"


def _python_lines(changes: Iterable[PythonChange]) -> Iterator[str]:
    """Yield a line for each package that changes; deployments with the same changes share theirs."""
    deployments_by_packages: dict[tuple[PackageChange, ...], list[str]] = {}
    for change in changes:
        deployments_by_packages.setdefault(change.packages, []).append(change.deployment)
    for packages, names in deployments_by_packages.items():
        title = f"~ packages of {_name_list(names)}"
        yield from (f"{title}: {_package(package)}" for package in packages[:_MOST_PACKAGES])
        if len(packages) > _MOST_PACKAGES:
            yield f"{title}: and {len(packages) - _MOST_PACKAGES} more"


def _package(change: PackageChange) -> str:
    if change.before is None:
        return f"{change.package} {change.after} added"
    if change.after is None:
        return f"{change.package} {change.before} removed"
    return f"{change.package} {change.before} → {change.after}"


def _limits(queue: QueueChange) -> str:
    before, after = ("no limit" if limit is None else str(limit) for limit in (queue.before, queue.after))
    if queue.action == "changed":
        return f"{before} → {after}"
    limit = "no limit" if queue.after is None else f"limit {queue.after}"
    return f"added, {limit}" if queue.action == "added" else "removed"


def _name_list(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_MOST_NAMES])} and {more} more"


def _changes(view: Preview | EnvironmentPlan) -> Iterator[str]:
    for change in view.changes:
        yield f"{_SIGNS[change.action]} {change.action} {_title(change)}  ({change.file}:{change.line})"
        yield from (f"    {line}" for line in _details(change))


def _fold(change: DeploymentChange) -> str:
    details = [visible(line).replace("```", "` ` `") for line in _details(change)]
    if not details:
        return ""
    summary = f"<details><summary>{change.action} {_cell(_title(change))}</summary>"
    return "\n".join((summary, "", "```", *details, "```", "</details>", ""))


def _item(line: str) -> str:
    """Return a line as an item of a list in Markdown; a line that is indented belongs to the item above it."""
    return f"{'  ' if line.startswith(' ') else ''}- {_cell(line.strip())}"


def _fitting(texts: Iterable[str], characters: int) -> list[str]:
    """Return the first texts whose total length, with newlines, is at most `characters`."""
    candidates = list(texts)
    lengths = accumulate(len(text) + 1 for text in candidates)
    return [text for text, length in zip(candidates, lengths, strict=True) if length <= characters]


def _row(change: DeploymentChange) -> str:
    before, after = (_times(times[:2]) for times in (change.fire_times.before, change.fire_times.after))
    times = {"delete": f"previously {before}", "create": after}.get(
        change.action, before if before == after else f"{before} → {after}"
    )
    word = {"delete": "**delete**"}.get(change.action, change.action)
    return f"| {word} | {_cell(_title(change))} | `{_cell(change.file)}:{change.line}` | {times} |"


def _details(change: DeploymentChange) -> Iterator[str]:
    if change.reason is not None:
        yield f"reason: {change.reason}"
    for field in change.fields:
        if change.action == "create":
            yield f"{field.path}: {_value(field.after)}"
        else:
            yield f"{field.path}: {_value(field.before)} -> {_value(field.after)}"
    before, after = _times(change.fire_times.before), _times(change.fire_times.after)
    if change.action != "create":
        yield f"fires before: {before}"
    if change.action != "delete":
        yield f"fires after:  {after}" if change.action == "update" else f"fires: {after}"
    if change.runs_in_flight:
        yield f"runs in progress: {change.runs_in_flight} (they will finish)"
    for warning in change.warnings:
        yield f"warning: {warning}"


def _title(change: DeploymentChange) -> str:
    return change.deployment if change.renamed_from is None else f"{change.deployment} (was {change.renamed_from})"


def _summary(view: Preview) -> Iterator[str]:
    where = "" if view.environment is None else f" in environment {view.environment}"
    yield f"Plan{where}: {_all_counts(view)}."
    if view.base == view.head:
        yield f"Base and head are the same revision: {view.head}."
    else:
        yield f"From {view.base or 'an empty state'} to {view.head}."
    if view.commit is not None:
        yield f"Head: {_commit(view.commit)}"
    yield f"Digest {view.digest}"
    yield from _withheld(view, _scope(view))


def _commit(commit: Commit) -> str:
    return f'"{commit.subject}" by {commit.author}, {format_time(commit.author_date, UTC)}'


def _scope(view: Preview) -> str:
    """Return the environments that the plan at the top is valid for, as a phrase."""
    if view.environment is not None:
        return f" in {view.environment}"
    return " outside of all environments" if _environments(view) else ""


def _withheld(view: Preview | EnvironmentPlan, where: str) -> Iterator[str]:
    """Yield the withheld deletions and how to approve them; a digest is valid only `where` the plan is."""
    if view.withheld is not None:
        yield f"Deletions will be withheld: {view.withheld.reason}."
        yield f"To approve them{where}: controller approve {view.withheld.digest}"


def _all_counts(view: Preview) -> str:
    """Return the counts of other changes, of documents, and of each environment that differs, in one line."""
    other_counts = [
        f"{len(changes)} {singular if len(changes) == 1 else plural} changed"
        for changes, singular, plural in (
            (view.queues, "queue", "queues"),
            (view.project, "project field", "project fields"),
            (view.code, "deployment's code", "deployments' code"),
            (view.python, "deployment's packages", "deployments' packages"),
            (view.holidays, "deployment's holidays", "deployments' holidays"),
            (view.specs, "Python spec", "Python specs"),
            (view.graph, "dependency", "dependencies"),
        )
        if changes
    ]
    counts = _counts(view)
    if other_counts and not view.changes:
        counts = counts.removeprefix("no changes, ")
    environments = [f"in {', '.join(names)}: {_environment_counts(view, plan)}" for names, plan in _environments(view)]
    return "; ".join([", ".join([*other_counts, counts]), *environments])


def _counts(view: Preview | EnvironmentPlan) -> str:
    summary = view.summary
    if not view.changes and not summary.invalid:
        return f"no changes, {summary.unchanged} unchanged"
    parts = (("delete", summary.delete), ("update", summary.update), ("create", summary.create))
    words = [f"{count} to {word}" for word, count in parts if count]
    words.append(f"{summary.unchanged} unchanged")
    return ", ".join([*words, *([f"{summary.invalid} invalid"] if summary.invalid else [])])


def _notes(view: Preview | EnvironmentPlan) -> Iterator[str]:
    """Yield the errors, then the deployments that stay active without a valid document in git."""
    errors = [finding for finding in view.findings if finding.severity is Severity.ERROR]
    yield from (f"! {_finding(finding)}" for finding in errors[:_MOST_FINDINGS])
    reasons: dict[str, list[str]] = {}
    for kept in view.kept:
        reasons.setdefault(kept.message, []).append(kept.deployment)
    listed = list(reasons.items())[:_MOST_FINDINGS]
    for message, names in listed:
        if len(names) > _MOST_NAMES:
            yield f"= {_name_list(names)} stay active: {message}"
        else:
            yield from (f"= {name} stays active: {message}" for name in names)
    more = len(view.kept) - sum(len(names) for _, names in listed)
    if more:
        yield f"= {more} more stay active: `controller plan -o json`"


def _finding(finding: Finding) -> str:
    hint = "" if finding.hint is None else f"; hint: {finding.hint}"
    place = f"{finding.file}:{finding.line}:{finding.column}"
    return f"{place}: {finding.severity}: {finding.message} [{finding.code}]{hint}"


def _times(times: tuple[datetime, ...]) -> str:
    return ", ".join(format_time(time, time.tzinfo) for time in times) or "none"


def _value(value: Any) -> str:
    text = "not set" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _short(revision: str | None) -> str:
    if revision is None:
        return "empty"
    label, _, commit = revision.rpartition(":")
    return f"{label.removesuffix('@sha1').removesuffix('sha1')}@{commit[:9]}".removeprefix("@")


def _cell(text: str) -> str:
    """Escape a text for a table in Markdown."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#" else char for char in visible(text)).replace("\n", " ")
