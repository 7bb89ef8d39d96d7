"""Explanations of the finding codes, for `controller explain` and SARIF.

The texts are data in `explained`, which is imported on first use. docs/findings.md is generated from them.
"""

from functools import cache

from controller.cli.formats.explained.entry import Explanation

__all__ = ["Explanation", "as_markdown", "as_text", "codes", "explain"]

_WIDTH = 80


def explain(code: str) -> Explanation | None:
    """Return the explanation of a code, whose case must match; None if the code does not exist."""
    return _all().get(code)


def codes() -> tuple[str, ...]:
    """Return all codes of this version, in the order of docs/findings.md."""
    from controller.cli.formats.explained import DOCUMENTED

    return tuple(explanation.code for explanation in DOCUMENTED)


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
