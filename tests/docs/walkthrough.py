"""Follows the steps of a page: its commands, and the output that the page shows. Used by the tests of tutorials."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block with what it prints."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def matches(printed: str, expected: str) -> bool:
    """Whether this is the documented output, in which `…` stands for any text."""
    pattern = ".*".join(re.escape(part) for part in _clean(expected).split("…"))
    return re.fullmatch(pattern, _clean(printed), re.DOTALL) is not None


def new_environment(home: Path) -> dict[str, str]:
    """The environment of a reader with this home directory, in which only the installed command is special."""
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "COLUMNS": "200", **identity}


def _clean(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n"))
