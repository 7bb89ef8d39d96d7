"""The pages under test, and how their parts are found. Used by the tests of this folder only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md")] + sorted(DOCS.rglob("*.md"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Section:
    """A heading and the text up to the next one of its level or above."""

    title: str
    text: str


def sections(page: Path, level: int) -> Iterator[Section]:
    """The sections of one level, in their order."""
    marks = "#" * level
    text = page.read_text(encoding="utf-8")
    headings = list(re.finditer(r"^(#+) (.+)$", _FENCE.sub(_blank, text), re.MULTILINE))
    for index, heading in enumerate(headings):
        if heading[1] == marks:
            end = next((after.start() for after in headings[index + 1 :] if len(after[1]) <= level), len(text))
            yield Section(heading[2], text[heading.end() : end])


def _blank(block: re.Match[str]) -> str:
    """As much of nothing, so that places stay what they are."""
    return re.sub(r"[^\n]", " ", block[0])


def without_code(page: Path) -> str:
    """The page without its fenced blocks, in which a `#` is not a heading."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of this language."""
    return [body for name, body in _FENCE.findall(text) if name == language]


def relative_links(page: Path) -> list[str]:
    """Where the page points within this repository."""
    return [link for link in _LINK.findall(re.sub(r"`[^`\n]+`", "code", without_code(page))) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def first_cells(text: str) -> list[str]:
    """The first cell of every row of the text's tables, their heads and rules left out."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows]
    return [cell for cell in cells if cell.strip("-: ") and not re.fullmatch(r"[a-z ]+", cell)]
