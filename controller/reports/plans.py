"""A plan as text for a terminal, and as Markdown that reads well as the comment on a pull request."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate
from typing import Any

from controller.model.findings import Finding, Severity
from controller.reconcile.preview import Change, Preview
from controller.reports.characters import visible

_SIGNS = {"delete": "-", "update": "~", "create": "+"}
_LONGEST = 120
_MOST_FINDINGS = 50
_MOST_ROWS, _MOST_DETAILS, _MOST_NOTES = 25_000, 25_000, 10_000
"""Characters of each part in Markdown: GitHub takes 65,536 as a comment."""


def as_text(view: Preview) -> str:
    """One block for each change, deletions first, then what is wrong, then the sum."""
    lines: list[str] = []
    for change in view.changes:
        lines.append(f"{_SIGNS[change.action]} {change.action} {_title(change)}  ({change.file}:{change.line})")
        lines += [f"    {line}" for line in _details(change)]
    lines += _notes(view)
    if lines:
        lines.append("")
    return "\n".join(visible(line) for line in (*lines, *_sum(view)))


def as_markdown(view: Preview) -> str:
    """A heading, the sum, a table of all changes, and the details folded away."""
    lines = [f"### Plan: {_counts(view)}", ""]
    lines += [f"`{_short(view.base)}` → `{_short(view.head)}`", ""]
    if view.withheld is not None:
        lines += [f"> **Deletions will be withheld:** {view.withheld.reason}.", ""]
        lines += [f"> To release them: `controller approve {view.withheld.digest}`", ""]
    if view.changes:
        lines += ["| | deployment | declared in | next fire times |", "|---|---|---|---|"]
        rows = _fitting(map(_row, view.changes), _MOST_ROWS)
        lines += [*rows, ""]
        if len(rows) < len(view.changes):
            lines += [f"… and {len(view.changes) - len(rows)} more changes: `controller plan -o json`", ""]
        lines += _fitting(filter(None, map(_folded, view.changes)), _MOST_DETAILS)
    notes = _fitting((f"- {_cell(note)}" for note in _notes(view)), _MOST_NOTES)
    if notes:
        lines += ["**Findings**", "", *notes, ""]
    lines.append(f"Digest `{view.digest}`")
    return "\n".join(lines)


def _folded(change: Change) -> str:
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


def _row(change: Change) -> str:
    before, after = (_times(times[:2]) for times in (change.fire_times.before, change.fire_times.after))
    times = {"delete": f"were {before}", "create": after}.get(
        change.action, before if before == after else f"{before} → {after}"
    )
    word = {"delete": "**delete**"}.get(change.action, change.action)
    return f"| {word} | {_cell(_title(change))} | `{_cell(change.file)}:{change.line}` | {times} |"


def _details(change: Change) -> Iterator[str]:
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


def _title(change: Change) -> str:
    return change.deployment if change.renamed_from is None else f"{change.deployment} (was {change.renamed_from})"


def _sum(view: Preview) -> Iterator[str]:
    yield f"Plan: {_counts(view)}."
    yield f"From {view.base or 'nothing'} to {view.head}."
    yield f"Digest {view.digest}"
    if view.withheld is not None:
        yield f"Deletions will be withheld: {view.withheld.reason}."
        yield f"To release them: controller approve {view.withheld.digest}"


def _counts(view: Preview) -> str:
    found = view.summary
    if view.is_empty:
        return f"no changes, {found.unchanged} unchanged"
    parts = (("delete", found.delete), ("update", found.update), ("create", found.create))
    words = [f"{count} to {word}" for word, count in parts if count]
    words.append(f"{found.unchanged} unchanged")
    return ", ".join([*words, *([f"{found.invalid} invalid"] if found.invalid else [])])


def _notes(view: Preview) -> Iterator[str]:
    """What is wrong, and what stays because of that, or because it says so."""
    errors = [finding for finding in view.findings if finding.severity is Severity.ERROR]
    yield from (f"! {_finding(finding)}" for finding in errors[:_MOST_FINDINGS])
    yield from (f"= keep {one.deployment}: {one.message}" for one in view.kept[:_MOST_FINDINGS])
    if len(view.kept) > _MOST_FINDINGS:
        yield f"= keep {len(view.kept) - _MOST_FINDINGS} more"


def _finding(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}:{finding.column}: {finding.severity}: {finding.message} [{finding.code}]"


def _times(times: tuple[datetime, ...]) -> str:
    return ", ".join(f"{time:%Y-%m-%d %H:%M:%S}Z".replace(":00Z", "Z") for time in times) or "never"


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
