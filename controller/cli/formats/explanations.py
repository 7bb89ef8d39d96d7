"""What each finding code means and what to do about it: for `controller explain`, for SARIF, held against the docs.

The words are data in `explained`, the only source; docs/findings.md says the same, and a test holds that. They are
loaded when they are asked for.
"""

from functools import cache

from controller.cli.formats.explained.entry import Explanation

__all__ = ["Explanation", "as_markdown", "as_text", "codes", "explain"]

_WIDTH = 80


def explain(code: str) -> Explanation | None:
    """The explanation of exactly this code; None if there is no such code."""
    return _all().get(code)


def codes() -> tuple[str, ...]:
    """Every code that this version can give, in the order of docs/findings.md."""
    from controller.cli.formats.explained import DOCUMENTED

    return tuple(one.code for one in DOCUMENTED)


def as_text(explanation: Explanation, width: int = _WIDTH) -> str:
    """For a terminal: a title, then meaning, remedy and examples, each after an empty line; no newline at the end."""
    from textwrap import fill

    title = f"{explanation.code} ({explanation.severity}): {explanation.summary}"
    words = [fill(text, width, break_on_hyphens=False) for text in (title, explanation.meaning, explanation.remedy)]
    return "\n\n".join((*words, *(f"{name}:\n\n{_indented(yaml)}" for name, yaml in _examples(explanation))))


def as_markdown(explanation: Explanation) -> str:
    """The same for a page that renders Markdown, without the title."""
    examples = (f"{name}:\n\n```yaml\n{yaml.rstrip()}\n```" for name, yaml in _examples(explanation))
    return "\n\n".join((explanation.meaning, explanation.remedy, *examples))


def _examples(explanation: Explanation) -> list[tuple[str, str]]:
    examples = [("Wrong", explanation.wrong), ("Right", explanation.right)]
    return [(name, yaml) for name, yaml in examples if yaml]


def _indented(yaml: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in yaml.rstrip().split("\n"))


@cache
def _all() -> dict[str, Explanation]:
    from controller.cli.formats.explained import DOCUMENTED

    return {one.code: one for one in DOCUMENTED}
