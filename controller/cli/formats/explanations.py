"""Explanations of the finding codes, for `controller explain` and SARIF.

The texts are data in `explained`, which is imported on first use. docs/findings.md is generated from them.
"""

from functools import cache

from controller.cli.formats.explained.entry import Explanation

__all__ = ["Explanation", "as_markdown", "as_text", "codes", "explain", "find_page"]

_WIDTH = 80
_FILES = "docs/triggers.md, section When files start no runs"
_CONDITIONS = "docs/reconcile.md, section Conditions"
_PAGES = {
    "UpstreamMissing": "docs/triggers.md, section Changes of an upstream deployment",
    "WatchNotAllowed": _FILES,
    "FolderMissing": _FILES,
    "FolderUnreadable": _FILES,
    "FileUnreadable": _FILES,
    "FileUnsettled": _FILES,
    "InvalidManifest": _CONDITIONS,
    "PruneWithheld": _CONDITIONS,
    "PruneDisabled": _CONDITIONS,
    "PassOverdue": _CONDITIONS,
    "StorageFull": _CONDITIONS,
    "NotStarted": "docs/notifications.md, section Deadlines",
    "NotFinished": "docs/notifications.md, section Deadlines",
    "NoSuccess": "docs/notifications.md, section Deadlines",
}
"""Where the documentation explains the reasons of conditions, which are not codes of findings."""


def explain(code: str) -> Explanation | None:
    """Return the explanation of a code, whose case must match; None if the code does not exist."""
    return _all().get(code)


def codes() -> tuple[str, ...]:
    """Return all codes of this version, in the order of docs/findings.md."""
    from controller.cli.formats.explained import DOCUMENTED

    return tuple(explanation.code for explanation in DOCUMENTED)


def find_page(reason: str) -> str | None:
    """Return the page and section that explain the reason of a condition; None if it is not one."""
    return _PAGES.get(reason)


def as_text(explanation: Explanation, width: int = _WIDTH) -> str:
    """Return title, meaning, remedy and examples for a terminal, separated by empty lines; no newline at the end."""
    from textwrap import fill

    title = f"{explanation.code} ({explanation.severity}): {explanation.summary}"
    paragraphs = [
        fill(text, width, break_on_hyphens=False) for text in (title, explanation.meaning, explanation.remedy)
    ]
    return "\n\n".join((*paragraphs, *(f"{name}:\n\n{_indent(yaml)}" for name, yaml in _examples(explanation))))


def as_markdown(explanation: Explanation) -> str:
    """Return meaning, remedy and examples as Markdown, without the title."""
    examples = (f"{name}:\n\n```yaml\n{yaml.rstrip()}\n```" for name, yaml in _examples(explanation))
    return "\n\n".join((explanation.meaning, explanation.remedy, *examples))


def _examples(explanation: Explanation) -> list[tuple[str, str]]:
    examples = [("Wrong", explanation.wrong), ("Right", explanation.right)]
    return [(name, yaml) for name, yaml in examples if yaml]


def _indent(yaml: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in yaml.rstrip().split("\n"))


@cache
def _all() -> dict[str, Explanation]:
    from controller.cli.formats.explained import DOCUMENTED

    return {explanation.code: explanation for explanation in DOCUMENTED}
