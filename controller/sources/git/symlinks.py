"""Resolves paths in a commit through symbolic links, component by component.

All paths are resolved together: one process reads the directories or links that they need next. A path that leads to a
submodule or outside the commit does not resolve to a file. As in an export, `..` is allowed only at the beginning of
the target of a link, so that the result depends only on the entries that were visited.
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
    """The target of a path: the object id of a regular file, or None. It depends only on the entries at `visited`."""

    object_id: str | None
    visited: tuple[str, ...]
    is_directory: bool = False


@dataclass(slots=True)
class _Walk:
    """The state of one path: the directories from the root to the current one, and the remaining steps."""

    stack: list[tuple[str, str]]
    steps: deque[str]
    visited: list[str] = field(default_factory=list)
    links: int = 0
    link: str | None = None
    object_id: str | None = None
    is_directory: bool = False


def resolve(repo: OpenRepository, commit: str, paths: Iterable[str]) -> dict[str, TreePath]:
    """Resolve each of `paths` at this commit. Raises GitError."""
    root = repo.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").decode().strip()
    walks = {path: _Walk([("", root)], deque(path.split("/"))) for path in paths}
    trees: dict[str, Mapping[str, Entry]] = {}
    targets: dict[str, str] = {}
    pending = [walk for path, walk in walks.items() if not path.startswith("/") and ".." not in walk.steps]
    while pending:
        _load_trees(repo, {walk.stack[-1][1] for walk in pending if walk.link is None} - trees.keys(), trees)
        _load_links(repo, {walk.link for walk in pending if walk.link is not None} - targets.keys(), targets)
        pending = [walk for walk in pending if _advance(walk, trees, targets)]
    return {path: TreePath(walk.object_id, tuple(walk.visited), walk.is_directory) for path, walk in walks.items()}


def _load_trees(repo: OpenRepository, object_ids: set[str], trees: dict[str, Mapping[str, Entry]]) -> None:
    for object_id, content in contents(repo, object_ids).items():
        trees[object_id] = parse_tree(content, len(object_id))


def _load_links(repo: OpenRepository, object_ids: set[str], targets: dict[str, str]) -> None:
    short = [object_id for object_id, size in sizes(repo, object_ids).items() if size <= _MAX_TARGET_BYTES]
    content_of = contents(repo, short)
    for object_id in object_ids:
        # A target that is too long counts as one outside the commit.
        targets[object_id] = content_of.get(object_id, b"/").decode("utf-8", "surrogateescape")


def _advance(walk: _Walk, trees: Mapping[str, Mapping[str, Entry]], targets: Mapping[str, str]) -> bool:
    """Resolve the path as far as possible with the loaded objects; return whether it needs more of them."""
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
    # The path ends at a directory, and resolves to no file for as long as that is one.
    walk.is_directory = True
    walk.visited.append(walk.stack[-1][0])
    return False


def _follow(walk: _Walk, target: str) -> bool:
    """Follow the target of a link; return False if it is not allowed, or leads outside the commit."""
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
    """Take one step; return False at the end of the path, or at a link whose target must be loaded first."""
    if entry is not None and entry.mode == TREE:
        walk.stack.append((path, entry.object_id))
        return True
    if entry is not None and entry.mode == LINK:
        walk.visited.append(path)
        walk.link = entry.object_id
        return False
    # An entry that is added here or below can change the result.
    walk.visited.append("/".join((path, *walk.steps)))
    if entry is not None and entry.is_regular and not walk.steps:
        walk.object_id = entry.object_id
    return False
