"""What a commit contains: all of it, or only what differs from another commit. Names are text with surrogates."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.sources.exports import Kind
from controller.sources.git.commands import GitError, GitTimeoutError, OpenRepository
from controller.sources.source import native

MODES = {"100644": Kind.FILE, "100664": Kind.FILE, "100755": Kind.EXECUTABLE, "120000": Kind.LINK}
REGULAR = frozenset(mode for mode, kind in MODES.items() if kind is not Kind.LINK)
LINK = "120000"
TREE = "40000"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a link or a submodule by its path from the root; of a difference the size is not known."""

    path: str
    mode: str
    object_id: str
    size: int | None = None

    @property
    def is_regular(self) -> bool:
        """Whether it is a file, neither a link nor a submodule."""
        return self.mode in REGULAR


def list_tree(look: OpenRepository, commit: str, *paths: str) -> Iterator[Entry]:
    """The entries at and below these paths; of the whole commit without any. Raises GitError."""
    literal = [f":(literal){native(path)}" for path in paths]
    listing = look.run("ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit, *literal)
    for record in listing.split(b"\0"):
        if record:
            meta, _, name = record.partition(b"\t")
            mode, _, object_id, size = meta.decode("ascii").split()
            look.work.entries += 1
            yield Entry(_text(name), mode, object_id, int(size) if size.isdigit() else 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """What is at `path` now; None if nothing is there any more. `is_new`: nothing was there before."""

    path: str
    now: Entry | None
    is_new: bool


def list_changes(look: OpenRepository, old: str, new: str, *paths: str) -> list[Difference] | None:
    """What differs at and below these paths, or anywhere; None if it can't be told, as when `old` is gone."""
    literal = [f":(literal){native(path)}" for path in paths]
    options = ("-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
    try:
        listing = look.run("diff-tree", *options, "--end-of-options", old, new, "--", *literal)
    except GitTimeoutError:
        raise
    except GitError:
        return None
    parts = listing.split(b"\0")[:-1]
    found = []
    for meta, name in zip(parts[::2], parts[1::2], strict=True):
        _, mode, _, object_id, status = meta.decode("ascii").removeprefix(":").split()
        path = _text(name)
        found.append(Difference(path, None if status == "D" else Entry(path, mode, object_id), status == "A"))
    look.work.entries += len(found)
    return found


def find_words(look: OpenRepository, commit: str, words: Iterable[str]) -> list[str]:
    """The regular Python files of the commit in which one of these words stands, sorted. Raises GitError."""
    wanted = [part for word in sorted(set(words)) for part in ("-e", word)]
    if not wanted:
        return []
    options = ("-l", "-z", "-F", "-w", "--text", "--full-name", "--no-recurse-submodules", "--no-textconv")
    try:
        listing = look.run("grep", *options, *wanted, commit, "--", "*.py")
    except GitError as error:
        if error.status == 1 and not error.text:  # nothing found
            return []
        raise
    return sorted(_text(name.partition(b":")[2]) for name in listing.split(b"\0") if name)


def parse_tree(content: bytes, id_length: int) -> Mapping[str, Entry]:
    """One directory, as git stores it, by name; `id_length` in hexadecimal digits."""
    found = {}
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        at = end + 1 + id_length // 2
        found[_text(name)] = Entry(_text(name), mode.decode("ascii").lstrip("0"), content[end + 1 : at].hex())
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
