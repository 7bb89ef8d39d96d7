"""Generate the sections of docs/findings.md that explain one code each, from `controller.cli.formats.explained`.

The first paragraphs of the page and of its chapters are written by hand: they are taken from the page itself.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from controller.cli.formats.explained import CHAPTERS, Explanation

FILE = "docs/findings.md"
_PAGE = Path(__file__).parents[2] / FILE


def generate() -> str:
    """Return the text of the page."""
    first, *chapters = re.split(r"^(?=## )", _PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    written = {part.partition("\n")[0].removeprefix("## "): part.partition("\n### ")[0].rstrip() for part in chapters}
    assert list(written) == list(CHAPTERS), "the page has other chapters than CHAPTERS"
    parts = [part for title, entries in CHAPTERS.items() for part in (written[title], *map(_section, entries))]
    return "\n\n".join((first.rstrip(), *parts)) + "\n"


def _section(entry: Explanation) -> str:
    return "\n\n".join(_blocks(entry))


def _blocks(entry: Explanation) -> Iterator[str]:
    yield f"### {entry.code}"
    yield textwrap.fill(f"{entry.meaning} {entry.remedy}", 120, break_on_hyphens=False, break_long_words=False)
    if entry.wrong:
        yield f"```yaml\n{entry.wrong.rstrip()}\n```"
