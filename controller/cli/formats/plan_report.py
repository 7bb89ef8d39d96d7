"""A plan as text for a terminal, and as Markdown that reads well as the comment on a pull request."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from typing import Any

from controller.cli.formats.printable import visible
from controller.model.findings import Finding, Severity
from controller.model.snapshots import PROJECT_FILE
from controller.reconcile.preview import DeploymentChange, EnvironmentPlan, Preview
from controller.reconcile.project_changes import QueueChange
from controller.time_format import shown

_SIGNS = {"delete": "-", "update": "~", "create": "+"}
_LONGEST = 120
_MOST_FINDINGS = 50
_MOST_NAMES = 10
_MOST_ROWS, _MOST_DETAILS, _MOST_NOTES, _MOST_OTHERS = 23_000, 23_000, 8_000, 4_000
"""Characters of each part in Markdown: GitHub takes 65,536 as a comment."""


def as_text(view: Preview) -> str:
    """One block for each change, deletions first, then what is wrong, each environment that differs, and the sum."""
    lines = [*_changes(view), *_others(view), *_notes(view)]
    for names, found in _environments(view):
        lines += ["", f"{_named(names)}: {_environment_counts(view, found)}"]
        own = _own_part(view, found)
        lines += [f"  {line}" for line in (*_changes(own), *_notes(own), *_as_above(found, own))]
        lines += [f"  Digest {found.digest}", *(f"  {line}" for line in _withheld(found, _in(names)))]
    if lines:
        lines.append("")
    return "\n".join(visible(line) for line in (*lines, *_sum(view))).lstrip("\n")


def as_markdown(view: Preview) -> str:
    """A heading, the sum, a table of all changes, and the details folded away; then each environment that differs."""
    groups = _environments(view)
    share = 1 + len(groups)
    lines = [f"### Plan: {_all_counts(view)}", ""]
    base, head = _short(view.base), _short(view.head)
    lines += [
        f"Base and head are the same revision: `{head}`" if view.base == view.head else f"`{base}` → `{head}`",
        "",
    ]
    lines += [*_warned(view, _own(view)), *_table(view, share)]
    others = _fitting((f"- {_cell(line)}" for line in _others(view)), _MOST_OTHERS)
    lines += [*others, ""] if others else []
    lines += [f"Digest `{view.digest}`"]
    for names, found in groups:
        lines += ["", f"#### {_named(names)}: {_environment_counts(view, found)}", ""]
        own = _own_part(view, found)
        lines += [*_warned(found, _in(names)), *_table(own, share)]
        lines += [text for line in _as_above(found, own) for text in (line, "")]
        lines.append(f"Digest `{found.digest}`")
    return "\n".join(lines)


def _environments(view: Preview) -> list[tuple[list[str], EnvironmentPlan]]:
    """The environments whose plans are not the one above, those with the same plan together."""
    usual = view.as_environment("")
    found: list[tuple[list[str], EnvironmentPlan]] = []
    for one in view.environments:
        anonymous = replace(one, name="")
        if anonymous == usual:
            continue
        names = next((names for names, other in found if replace(other, name="") == anonymous), None)
        if names is None:
            found.append(([one.name], one))
        else:
            names.append(one.name)
    return found


def _own_part(view: Preview, found: EnvironmentPlan) -> EnvironmentPlan:
    """What differs in the environment from what is said above."""
    usual = {(change.action, change.deployment): change for change in view.changes}
    return replace(
        found,
        changes=tuple(change for change in found.changes if usual.get((change.action, change.deployment)) != change),
        findings=tuple(finding for finding in found.findings if finding not in view.findings),
        kept=tuple(one for one in found.kept if one not in view.kept),
    )


def _as_above(found: EnvironmentPlan, own: EnvironmentPlan) -> Iterator[str]:
    count = len(found.changes) - len(own.changes)
    if count and own.changes:
        yield f"{count} more {'change' if count == 1 else 'changes'} as above"


def _named(names: list[str]) -> str:
    return f"Environment {names[0]}" if len(names) == 1 else f"Environments {', '.join(names)}"


def _environment_counts(view: Preview, found: EnvironmentPlan) -> str:
    is_same = found.summary == view.summary and not _own_part(view, found).changes
    return "the same changes" if is_same else _counts(found)


def _in(names: list[str]) -> str:
    return f" in {' or '.join(names)}"


def _warned(view: Preview | EnvironmentPlan, where: str) -> list[str]:
    """What is withheld, as a quotation in Markdown."""
    if view.withheld is None:
        return []
    command = f"`controller approve {view.withheld.digest}`"
    return [
        f"> **Deletions will be withheld:** {view.withheld.reason}.",
        "",
        f"> To release them{where}: {command}",
        "",
    ]


def _table(view: Preview | EnvironmentPlan, share: int) -> Iterator[str]:
    """All changes, the details of each, and what is wrong, in the part of a comment that is one of `share`."""
    if view.changes:
        yield from ("| | deployment | declared in | next fire times |", "|---|---|---|---|")
        rows = _fitting(map(_row, view.changes), _MOST_ROWS // share)
        yield from (*rows, "")
        if len(rows) < len(view.changes):
            yield from (f"… and {len(view.changes) - len(rows)} more changes: `controller plan -o json`", "")
        yield from _fitting(filter(None, map(_folded, view.changes)), _MOST_DETAILS // share)
    notes = _fitting((f"- {_cell(note)}" for note in _notes(view)), _MOST_NOTES // share)
    if notes:
        yield from ("**Findings**", "", *notes, "")


def _others(view: Preview) -> Iterator[str]:
    """What changes beside the documents: queues, the project, code."""
    for queue in view.queues:
        yield f"~ queue {queue.queue}: {_limits(queue)}"
    for field in view.project:
        yield f"~ {PROJECT_FILE} {field.path}: {_value(field.before)} -> {_value(field.after)}"
    together: dict[tuple[str, ...], list[str]] = {}
    for change in view.code:
        together.setdefault(change.files, []).append(change.deployment)
    for files, names in together.items():
        yield f"~ code of {_several(names)} changed: {', '.join(files)}"
    yield from (f"! the imports of {one.file} were not followed: {one.reason}" for one in view.unread)


def _limits(queue: QueueChange) -> str:
    before, after = ("no limit" if limit is None else str(limit) for limit in (queue.before, queue.after))
    if queue.action == "changed":
        return f"{before} → {after}"
    limit = "no limit" if queue.after is None else f"limit {queue.after}"
    return f"added, {limit}" if queue.action == "added" else "removed"


def _several(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_MOST_NAMES])} and {more} more"


def _changes(view: Preview | EnvironmentPlan) -> Iterator[str]:
    for change in view.changes:
        yield f"{_SIGNS[change.action]} {change.action} {_title(change)}  ({change.file}:{change.line})"
        yield from (f"    {line}" for line in _details(change))


def _folded(change: DeploymentChange) -> str:
    details = [visible(line).replace("```", "` ` `") for line in _details(change)]
    if not details:
        return ""
    summary = f"<details><summary>{change.action} {_cell(_title(change))}</summary>"
    return "\n".join((summary, "", "```", *details, "```", "</details>", ""))


def _fitting(texts: Iterable[str], characters: int) -> list[str]:
    """The first of them, as many as that many characters hold."""
    every = list(texts)
    lengths = accumulate(len(text) + 1 for text in every)
    return [text for text, length in zip(every, lengths, strict=True) if length <= characters]


def _row(change: DeploymentChange) -> str:
    before, after = (_times(times[:2]) for times in (change.fire_times.before, change.fire_times.after))
    times = {"delete": f"were {before}", "create": after}.get(
        change.action, before if before == after else f"{before} → {after}"
    )
    word = {"delete": "**delete**"}.get(change.action, change.action)
    return f"| {word} | {_cell(_title(change))} | `{_cell(change.file)}:{change.line}` | {times} |"


def _details(change: DeploymentChange) -> Iterator[str]:
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
        yield f"runs in flight: {change.runs_in_flight} (they finish)"
    for warning in change.warnings:
        yield f"warning: {warning}"


def _title(change: DeploymentChange) -> str:
    return change.deployment if change.renamed_from is None else f"{change.deployment} (was {change.renamed_from})"


def _sum(view: Preview) -> Iterator[str]:
    where = "" if view.environment is None else f" in environment {view.environment}"
    yield f"Plan{where}: {_all_counts(view)}."
    if view.base == view.head:
        yield f"Base and head are the same revision: {view.head}."
    else:
        yield f"From {view.base or 'nothing'} to {view.head}."
    yield f"Digest {view.digest}"
    yield from _withheld(view, _own(view))


def _own(view: Preview) -> str:
    """Where the plan at the top holds."""
    if view.environment is not None:
        return f" in {view.environment}"
    return " outside of all environments" if _environments(view) else ""


def _withheld(view: Preview | EnvironmentPlan, where: str) -> Iterator[str]:
    """What is withheld, and how to release it: a digest holds only `where` the plan does."""
    if view.withheld is not None:
        yield f"Deletions will be withheld: {view.withheld.reason}."
        yield f"To release them{where}: controller approve {view.withheld.digest}"


def _all_counts(view: Preview) -> str:
    """The counts, those of what changes beside the documents, and those of each environment that differs."""
    others = [
        f"{len(found)} {one if len(found) == 1 else several} changed"
        for found, one, several in (
            (view.queues, "queue", "queues"),
            (view.project, "project field", "project fields"),
            (view.code, "deployment's code", "deployments' code"),
        )
        if found
    ]
    counts = _counts(view)
    if others and not view.changes:
        counts = counts.removeprefix("no changes, ")
    found = [f"in {', '.join(names)}: {_environment_counts(view, plan)}" for names, plan in _environments(view)]
    return "; ".join([", ".join([*others, counts]), *found])


def _counts(view: Preview | EnvironmentPlan) -> str:
    found = view.summary
    if not view.changes and not found.invalid:
        return f"no changes, {found.unchanged} unchanged"
    parts = (("delete", found.delete), ("update", found.update), ("create", found.create))
    words = [f"{count} to {word}" for word, count in parts if count]
    words.append(f"{found.unchanged} unchanged")
    return ", ".join([*words, *([f"{found.invalid} invalid"] if found.invalid else [])])


def _notes(view: Preview | EnvironmentPlan) -> Iterator[str]:
    """What is wrong, and what stays because of that, or because it says so."""
    errors = [finding for finding in view.findings if finding.severity is Severity.ERROR]
    yield from (f"! {_finding(finding)}" for finding in errors[:_MOST_FINDINGS])
    reasons: dict[str, list[str]] = {}
    for one in view.kept:
        reasons.setdefault(one.message, []).append(one.deployment)
    shown = list(reasons.items())[:_MOST_FINDINGS]
    for message, names in shown:
        if len(names) > _MOST_NAMES:
            yield f"= {_several(names)} stay active: {message}"
        else:
            yield from (f"= {name} stays active: {message}" for name in names)
    more = len(view.kept) - sum(len(names) for _, names in shown)
    if more:
        yield f"= {more} more stay active: `controller plan -o json`"


def _finding(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}:{finding.column}: {finding.severity}: {finding.message} [{finding.code}]"


def _times(times: tuple[datetime, ...]) -> str:
    return ", ".join(shown(time, time.tzinfo) for time in times) or "never"


def _value(value: Any) -> str:
    text = "(nothing)" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _short(revision: str | None) -> str:
    if revision is None:
        return "nothing"
    label, _, commit = revision.rpartition(":")
    return f"{label.removesuffix('@sha1').removesuffix('sha1')}@{commit[:9]}".removeprefix("@")


def _cell(text: str) -> str:
    """A text in a table of Markdown, where it means nothing."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#" else char for char in visible(text)).replace("\n", " ")
