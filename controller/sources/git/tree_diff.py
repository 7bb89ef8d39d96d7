"""Lists the entries of a commit, or those that differ from another commit. Names are text with surrogate escapes."""

from collections.abc import Iterable, Iterator, Mapping

from controller.records import dataclass
from controller.sources.exports import Kind
from controller.sources.git.commands import GitError, GitTimeoutError, OpenRepository
from controller.sources.source import native

MODES = {"100644": Kind.FILE, "100664": Kind.FILE, "100755": Kind.EXECUTABLE, "120000": Kind.LINK}
REGULAR = frozenset(mode for mode, kind in MODES.items() if kind is not Kind.LINK)
LINK = "120000"
TREE = "40000"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a link or a submodule, by its path from the root. `size` is None in a difference."""

    path: str
    mode: str
    object_id: str
    size: int | None = None

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file: neither a link nor a submodule."""
        return self.mode in REGULAR


def list_tree(repo: OpenRepository, commit: str, *paths: str) -> Iterator[Entry]:
    """Yield the entries at and below these paths, or of the whole commit without paths. Raises GitError."""
    literal = [f":(literal){native(path)}" for path in paths]
    listing = repo.run("ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit, *literal)
    for record in listing.split(b"\0"):
        if record:
            meta, _, name = record.partition(b"\t")
            mode, _, object_id, size = meta.decode("ascii").split()
            repo.work.entries += 1
            yield Entry(_text(name), mode, object_id, int(size) if size.isdigit() else 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that differs. `now` is the new entry, None if it was removed; `is_new` tells that it was added."""

    path: str
    now: Entry | None
    is_new: bool


def list_changes(repo: OpenRepository, old: str, new: str, *paths: str) -> list[Difference] | None:
    """Return the differences at and below these paths, or in the whole commit without paths.

    The result is None if git can't compare the commits, for example because it has lost `old`.
    """
    literal = [f":(literal){native(path)}" for path in paths]
    options = ("-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
    try:
        listing = repo.run("diff-tree", *options, "--end-of-options", old, new, "--", *literal)
    except GitTimeoutError:
        raise
    except GitError:
        return None
    parts = listing.split(b"\0")[:-1]
    differences = []
    for meta, name in zip(parts[::2], parts[1::2], strict=True):
        _, mode, _, object_id, status = meta.decode("ascii").removeprefix(":").split()
        path = _text(name)
        differences.append(Difference(path, None if status == "D" else Entry(path, mode, object_id), status == "A"))
    repo.work.entries += len(differences)
    return differences


def find_words(repo: OpenRepository, commit: str, words: Iterable[str]) -> list[str]:
    """Return the sorted paths of the regular Python files that contain one of the words. Raises GitError."""
    patterns = [part for word in sorted(set(words)) for part in ("-e", word)]
    if not patterns:
        return []
    options = ("-l", "-z", "-F", "-w", "--text", "--full-name", "--no-recurse-submodules", "--no-textconv")
    try:
        listing = repo.run("grep", *options, *patterns, commit, "--", "*.py")
    except GitError as error:
        if error.status == 1 and not error.text:  # no match
            return []
        raise
    return sorted(_text(name.partition(b":")[2]) for name in listing.split(b"\0") if name)


def parse_tree(content: bytes, id_length: int) -> Mapping[str, Entry]:
    """Parse a tree object; return its entries by name. `id_length` is the number of hexadecimal digits of an id."""
    entries = {}
    position = 0
    while position < len(content):
        end = content.index(b"\0", position)
        mode, _, name = content[position:end].partition(b" ")
        position = end + 1 + id_length // 2
        entries[_text(name)] = Entry(_text(name), mode.decode("ascii").lstrip("0"), content[end + 1 : position].hex())
    return entries


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
