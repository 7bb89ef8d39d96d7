"""Where paths lead to in a commit, links included: component by component over the stored directories.

Pure but for `Objects`, which reads what is needed next for all paths with one process. A link that leads out of the
commit, a submodule, a directory: nothing is found there. As in an export, `..` may only begin a link's target: what a
path leads to then depends on nothing but the entries that were visited.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.sources.git.cat_file import contents, sizes
from controller.sources.git.commands import OpenRepository
from controller.sources.git.tree_diff import LINK, TREE, Entry, parse_tree

_MAX_LINKS = 40
_MAX_TARGET_BYTES = 4096


@dataclass(frozen=True, slots=True)
class TreePath:
    """What a path leads to: the id of a regular file's content, or None. It depends on the entries at `visited`."""

    object_id: str | None
    visited: tuple[str, ...]
    is_directory: bool = False


@dataclass(slots=True)
class _Walk:
    """One path on its way: the directories from the root to where it is, and the steps that are left."""

    stack: list[tuple[str, str]]
    steps: deque[str]
    visited: list[str] = field(default_factory=list)
    links: int = 0
    link: str | None = None
    found: str | None = None
    is_directory: bool = False


def resolve(look: OpenRepository, commit: str, paths: Iterable[str]) -> dict[str, TreePath]:
    """Where each of `paths` leads to. Raises GitError."""
    root = look.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").decode().strip()
    walks = {path: _Walk([("", root)], deque(path.split("/"))) for path in paths}
    trees: dict[str, Mapping[str, Entry]] = {}
    targets: dict[str, str] = {}
    pending = [walk for path, walk in walks.items() if not path.startswith("/") and ".." not in walk.steps]
    while pending:
        _load_trees(look, {walk.stack[-1][1] for walk in pending if walk.link is None} - trees.keys(), trees)
        _load_links(look, {walk.link for walk in pending if walk.link is not None} - targets.keys(), targets)
        pending = [walk for walk in pending if _advance(walk, trees, targets)]
    return {path: TreePath(walk.found, tuple(walk.visited), walk.is_directory) for path, walk in walks.items()}


def _load_trees(look: OpenRepository, wanted: set[str], trees: dict[str, Mapping[str, Entry]]) -> None:
    for object_id, content in contents(look, wanted).items():
        trees[object_id] = parse_tree(content, len(object_id))


def _load_links(look: OpenRepository, wanted: set[str], targets: dict[str, str]) -> None:
    short = [object_id for object_id, size in sizes(look, wanted).items() if size <= _MAX_TARGET_BYTES]
    read = contents(look, short)
    for object_id in wanted:
        targets[object_id] = read.get(object_id, b"/").decode("utf-8", "surrogateescape")


def _advance(walk: _Walk, trees: Mapping[str, Mapping[str, Entry]], targets: Mapping[str, str]) -> bool:
    """Go as far as what was read leads; whether more must be read."""
    if walk.link is not None:
        target = targets[walk.link]
        walk.link = None
        if not _follow(walk, target):
            return False
    while walk.steps:
        step = walk.steps.popleft()
        if step in ("", "."):
            continue
        path, tree = walk.stack[-1]
        if tree not in trees:
            walk.steps.appendleft(step)
            return True
        if not _enter(walk, f"{path}/{step}".lstrip("/"), trees[tree].get(step)):
            return walk.link is not None
    # It ends in a directory: no file is found as long as it is one.
    walk.is_directory = True
    walk.visited.append(walk.stack[-1][0])
    return False


def _follow(walk: _Walk, target: str) -> bool:
    """Go up as the target of a link says; False if it leads out, or nowhere."""
    steps = deque(target.split("/"))
    while steps and steps[0] == "..":
        steps.popleft()
        if len(walk.stack) == 1:
            return False
        walk.stack.pop()
    walk.links += 1
    walk.steps.extendleft(reversed(steps))
    return not target.startswith("/") and ".." not in steps and walk.links <= _MAX_LINKS


def _enter(walk: _Walk, path: str, entry: Entry | None) -> bool:
    """Take one step; False if it ended the walk, or met a link that has to be read."""
    if entry is not None and entry.mode == TREE:
        walk.stack.append((path, entry.object_id))
        return True
    if entry is not None and entry.mode == LINK:
        walk.visited.append(path)
        walk.link = entry.object_id
        return False
    # What comes to stand here or further down can change the answer.
    walk.visited.append("/".join((path, *walk.steps)))
    if entry is not None and entry.is_regular and not walk.steps:
        walk.found = entry.object_id
    return False
