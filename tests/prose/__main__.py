"""Check the prose of the project: `python -m tests.prose [--count] [PATH …]`.

Prints a line `file:line: found … say: …` for each match and exits with 1 if there is one. `--count` prints, for each
path, its words, matches and matches per 1,000 words instead. PATHs are files or folders; by default the whole project.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.prose.extract import SUFFIXES, extract, words
from tests.prose.messages import faults
from tests.prose.terms import Term, matches, read_terms

ROOT = Path(__file__).parents[2]
SKIPPED = re.compile(
    r"tests/(?:examples|fuzz/corpus)/|schema\.md$|tests/prose/terms\.toml|LICENSE|requirements/|\.min\."
)


def files(paths: list[str]) -> list[Path]:
    """The tracked files below these paths, in order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in sorted(listed) if Path(name).suffix in SUFFIXES and not SKIPPED.search(name)]


def check(paths: list[str], terms: list[Term]) -> int:
    """Print every match below these paths; return how many there are."""
    count = 0
    for path in files(paths):
        text = path.read_text(encoding="utf-8")
        lines = [
            f"{piece.line}: {phrase!r} say: {term.say}"
            for piece in extract(path, text)
            for term, phrase in matches(terms, piece.text)
        ]
        if path.suffix == ".py" and "controller" in path.relative_to(ROOT).parts[:1]:
            lines += [f"{line}: a message: {rule}" for line, rule in faults(text)]
        count += len(lines)
        sys.stdout.writelines(f"{path.relative_to(ROOT)}:{line}\n" for line in lines)
    return count


def count(paths: list[str], terms: list[Term]) -> None:
    """Print words, matches and matches per 1,000 words of each path."""
    for name in paths or ["controller", "docs", "tests", "."]:
        pieces = [piece for path in files([name]) for piece in extract(path, path.read_text(encoding="utf-8"))]
        found = sum(len(list(matches(terms, piece.text))) for piece in pieces)
        total = words(pieces)
        sys.stdout.write(
            f"{name:<40} {total:>7} words {found:>6} matches {1000 * found / max(total, 1):6.1f} / 1,000\n"
        )


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--count"]
    if "--count" in sys.argv:
        count(arguments, read_terms())
        sys.exit(0)
    sys.exit(1 if check(arguments, read_terms()) else 0)
