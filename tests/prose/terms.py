"""The terms of `terms.toml`: patterns that no text of the project may match, each with what to say instead."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("terms.toml")


@dataclass(frozen=True, slots=True)
class Term:
    """A pattern and the better wording."""

    find: re.Pattern[str]
    say: str


def read_terms(file: Path = FILE) -> list[Term]:
    """Read the terms, in the order of the file."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["term"]
    return [Term(find=re.compile(entry["find"], re.IGNORECASE), say=entry["say"]) for entry in entries]


def matches(terms: list[Term], text: str) -> Iterator[tuple[Term, str]]:
    """Every match in one piece of prose, with the matched phrase."""
    for term in terms:
        for found in term.find.finditer(text):
            yield term, found.group().strip()
