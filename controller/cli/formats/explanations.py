"""Explanations of the finding codes, for `controller explain` and SARIF, and of reasons.

The texts are data in `explained`, which is imported on first use. docs/findings.md is generated from them.
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from controller.cli.formats.explained.entry import Explanation

if TYPE_CHECKING:
    from controller.cli.formats.explained.reasons import Reason

__all__ = ["Explanation", "as_markdown", "as_text", "codes", "explain", "explain_reason", "reason_as_text", "reasons"]

_WIDTH = 80


def explain(code: str) -> Explanation | None:
    """Return the explanation of a code, whose case must match; None if the code does not exist."""
    return _all().get(code)


def codes() -> tuple[str, ...]:
    """Return all codes of this version, in the order of docs/findings.md."""
    from controller.cli.formats.explained import DOCUMENTED

    return tuple(explanation.code for explanation in DOCUMENTED)


def explain_reason(text: str) -> "Reason | None":
    """Return the explanation of a reason; of the reason of a due time, also if more follows it. None if unknown.

    Examples: `FolderMissing`, `upstream`, `upstream: ingest failed`, `calendar DE-BY: Christmas Day`.
    """
    first = text.strip().partition(":")[0]
    return next((reason for reason in reasons() if reason.code in (first, first.partition(" ")[0])), None)


def reasons() -> "tuple[Reason, ...]":
    """Return the explanations of all reasons."""
    from controller.cli.formats.explained.reasons import REASONS

    return REASONS


def reason_as_text(reason: "Reason", width: int = _WIDTH) -> str:
    """Return title, meaning, remedy and the page for a terminal, separated by empty lines; no newline at the end."""
    title = f"{reason.code} ({reason.subject}): {reason.summary}"
    return _paragraphs((title, reason.meaning, reason.remedy, f"See {reason.page}."), width)


def as_text(explanation: Explanation, width: int = _WIDTH) -> str:
    """Return title, meaning, remedy and examples for a terminal, separated by empty lines; no newline at the end."""
    title = f"{explanation.code} ({explanation.severity}): {explanation.summary}"
    text = _paragraphs((title, explanation.meaning, explanation.remedy), width)
    return "\n\n".join((text, *(f"{name}:\n\n{_indent(yaml)}" for name, yaml in _examples(explanation))))


def as_markdown(explanation: Explanation) -> str:
    """Return meaning, remedy and examples as Markdown, without the title."""
    examples = (f"{name}:\n\n```yaml\n{yaml.rstrip()}\n```" for name, yaml in _examples(explanation))
    return "\n\n".join((explanation.meaning, explanation.remedy, *examples))


def _paragraphs(texts: Iterable[str], width: int) -> str:
    from textwrap import fill

    return "\n\n".join(fill(text, width, break_on_hyphens=False) for text in texts)


def _examples(explanation: Explanation) -> list[tuple[str, str]]:
    examples = [("Wrong", explanation.wrong), ("Right", explanation.right)]
    return [(name, yaml) for name, yaml in examples if yaml]


def _indent(yaml: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in yaml.rstrip().split("\n"))


@cache
def _all() -> dict[str, Explanation]:
    from controller.cli.formats.explained import DOCUMENTED

    return {explanation.code: explanation for explanation in DOCUMENTED}
