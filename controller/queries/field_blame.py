"""The commit that last changed each field of a deployment, from `git blame`. Called by `field_locations`.

Blame covers only the lines of the fields, and only files of up to 256 KiB. Its result is kept by the content of the
file, so that a new revision costs nothing unless the file has changed. Without a result, fields have no commit.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from controller.errors import ControllerError
from controller.manifests.field_locations import SourceLocation
from controller.model.commits import Commit
from controller.sources.source import Source

MAX_BYTES = 256 << 10
MAX_LINES = 2000
"""The number of lines to blame in one file."""
_MAX_CACHED = 256
_Key = tuple[str, str, int, int]


class FieldBlame:
    """Finds the commits of fields. Safe to use from several threads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._memory: OrderedDict[_Key, Mapping[int, Commit]] = OrderedDict()

    def find_changes(self, revision: str, places: Iterable[SourceLocation]) -> dict[SourceLocation, Commit]:
        """Return the newest commit that changed a line of each of these fields; fields without one are left out."""
        by_file: dict[str, list[SourceLocation]] = {}
        for place in places:
            by_file.setdefault(place.file, []).append(place)
        changes: dict[SourceLocation, Commit] = {}
        for file, fields in by_file.items():
            try:
                content = self._source.read_file(revision, file)
                changes |= self._in_file(revision, file, content, fields)
            except (ControllerError, OSError):
                continue
        return changes

    def _in_file(
        self, revision: str, file: str, content: bytes, fields: list[SourceLocation]
    ) -> dict[SourceLocation, Commit]:
        if len(content) > MAX_BYTES:
            return {}
        lines = content.decode("utf-8", "replace").splitlines()
        spans = {field: span for field in fields if (span := field_lines(lines, field.line))}
        if not spans:
            return {}
        covered = range(min(span.start for span in spans.values()), max(span.stop for span in spans.values()))
        if len(covered) > MAX_LINES:
            return {}
        commits = self._blame(revision, file, hashlib.sha256(content).hexdigest(), covered)
        changes = {}
        for field, span in spans.items():
            # Of commits in the same second, take that of the last line: the key of a field is older than its value.
            own = [commits[number] for number in reversed(span) if number in commits]
            if own:
                changes[field] = max(own, key=lambda commit: commit.author_date)
        return changes

    def _blame(self, revision: str, file: str, digest: str, lines: range) -> Mapping[int, Commit]:
        key = (file, digest, lines.start, lines.stop)
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        commits = self._source.blame(revision, file, lines)
        with self._lock:
            self._memory[key] = commits
            while len(self._memory) > _MAX_CACHED:
                self._memory.popitem(last=False)
        return commits


def field_lines(lines: list[str], first: int) -> range:
    """Return the line numbers of the field whose key is in line `first`; none if the file has no such line.

    A field ends before the next line that is not indented further, apart from items and brackets of its value.
    """
    if not 1 <= first <= len(lines):
        return range(0)
    own = _indent(lines[first - 1])
    last = first
    for number in range(first + 1, len(lines) + 1):
        line = lines[number - 1]
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        is_inside = indent > own or (indent == own and text.startswith(("- ", "]", "}")))
        if not is_inside:
            break
        last = number
    return range(first, last + 1)


def _indent(line: str) -> int:
    """Return the column of the first key in a line, from 0, which in a list of documents comes after its dash."""
    prefix = re.match(r"[ \t]*(?:- +)*", line)
    return 0 if prefix is None else prefix.end()
