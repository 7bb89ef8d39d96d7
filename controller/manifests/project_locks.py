"""Reads a Python project, as text: pyproject.toml and its lock, uv.lock or pylock.toml.

`python_requests` calls it. A project without a lock, or with one that does not match it, is an error: the controller
never chooses the versions of a project.
"""

import posixpath
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from controller.manifests.requirements_files import RequirementsError, read_text
from controller.records import dataclass
from controller.text import did_you_mean, shorten

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PROJECT, LOCKS = "pyproject.toml", ("uv.lock", "pylock.toml")

Read = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFiles:
    """The path of the lock, the texts of all files by path, and the version specifier of Python, if there is one."""

    lock: str
    files: Mapping[str, str]
    requires_python: str | None


def read_project_files(folder: str, groups: Collection[str], extras: Collection[str], read: Read) -> ProjectFiles:
    """Return the files of the project in this folder. Raises RequirementsError.

    The lock is in the folder or, for a member of a workspace, in the nearest folder above that has one.
    """
    path = _join(folder, PROJECT)
    files = {path: read_text(path, read)}
    project = _load(path, files[path])
    _check_names("group", groups, _mapping(project.get("dependency-groups")), path)
    optional = _mapping(_mapping(project.get("project")).get("optional-dependencies"))
    _check_names("extra", extras, optional, path)
    for above in _folders_up(folder):
        for name in LOCKS:
            lock = _join(above, name)
            if read(lock) is not None:
                root = _join(above, PROJECT)
                if root not in files and read(root) is not None:
                    files[root] = read_text(root, read)
                files[lock] = read_text(lock, read)
                selected = {_normalize(name) for name in (*groups, *extras)}
                _check_lock(project, _load(lock, files[lock]), selected, path, lock)
                requires_python = _mapping(project.get("project")).get("requires-python")
                version = requires_python if isinstance(requires_python, str) else None
                return ProjectFiles(lock=lock, files=files, requires_python=version)
    message = f"{folder or 'the root of the repository'} has neither uv.lock nor pylock.toml"
    raise RequirementsError("PythonFileMissing", message, path, 1, f"run `uv lock` there, and commit {LOCKS[0]}")


def _join(folder: str, name: str) -> str:
    return posixpath.join(folder, name) if folder else name


def _folders_up(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def _load(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequirementsError("InvalidRequirement", f"the file is not TOML: {error}", path) from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_names(noun: str, names: Iterable[str], declared: Mapping[str, Any], path: str) -> None:
    normalized = {_normalize(name) for name in declared}
    for name in names:
        if _normalize(name) not in normalized:
            hint = did_you_mean(name, declared) or (f"{noun}s: {', '.join(declared)}" if declared else None)
            raise RequirementsError("InvalidRequirement", f"there is no {noun} {shorten(name)}", path, 1, hint)


def _check_lock(
    project: Mapping[str, Any], lock: Mapping[str, Any], selected: Collection[str], path: str, lock_path: str
) -> None:
    """Raise RequirementsError if the lock does not match the project, or has packages that no index has.

    `selected` are the normalized names of the groups and extras to install.
    """
    packages = [_mapping(package) for package in lock.get("package") or lock.get("packages") or ()]
    own = _own_package(packages, _mapping(project.get("project")).get("name"))
    difference = _difference(project, packages, own, path)
    if difference is not None:
        message = f"the lock does not match {path}: {shorten(difference)}"
        raise RequirementsError("LockOutdated", message, lock_path, 1, "run `uv lock`, and commit the lock")
    members = {_normalize(str(name)) for name in _mapping(lock.get("manifest")).get("members") or ()}
    for package in () if own is None else _reachable(packages, own, selected):
        source = _mapping(package.get("source"))
        kinds = [kind for kind in _NOT_IN_AN_INDEX if kind in source]
        if kinds and package is not own and package.get("name") not in members:
            message = f"{shorten(str(package.get('name')))} comes from {_NOT_IN_AN_INDEX[kinds[0]]}, not from an index"
            hint = (
                "publish a wheel to your index; or make it a member of the workspace, and add its src to import_paths"
            )
            raise RequirementsError("ForbiddenRequirement", message, lock_path, 1, hint)


_NOT_IN_AN_INDEX = {
    "git": "a git repository",
    "url": "a URL",
    "path": "a file",
    "directory": "a folder",
    "editable": "a folder",
    "virtual": "a folder",
}
"""The keys of the sources of packages that are not installed, in uv.lock."""


def _own_package(packages: Iterable[Mapping[str, Any]], name: Any) -> Mapping[str, Any] | None:
    """Return the entry of the project itself; None if the lock has none, as in pylock.toml."""
    for package in packages:
        is_local = not _mapping(package.get("source")).keys().isdisjoint(("virtual", "editable", "directory"))
        if isinstance(name, str) and is_local and package.get("name") == _normalize(name):
            return package
    return None


def _difference(
    project: Mapping[str, Any], packages: Iterable[Mapping[str, Any]], own: Mapping[str, Any] | None, path: str
) -> str | None:
    """Return a requirement that only the project or only its lock has; None if they agree."""
    metadata = _mapping(project.get("project"))
    required = [*(metadata.get("dependencies") or ())]
    if own is None:  # all that can be checked is that each package is there
        names = {_normalize(str(package.get("name"))) for package in packages}
        missing = (text for text in required if _normalize(_parse(text, path).name) not in names)
        return next((f"{text} is not in it" for text in missing), None)
    for extra in _mapping(metadata.get("optional-dependencies")).values():
        required += extra
    locked = _mapping(own.get("metadata"))
    pairs = [(required, locked.get("requires-dist"))] if "dependencies" not in metadata.get("dynamic", ()) else []
    groups = {_normalize(name): group for name, group in _mapping(project.get("dependency-groups")).items()}
    development = _mapping(locked.get("requires-dev"))
    if "dev-dependencies" not in _mapping(_mapping(project.get("tool")).get("uv")):
        pairs += [(list(_expand(groups, name)), development.get(name)) for name in sorted({*groups, *development})]
    differences = (_compare(texts, list(entries or ()), path) for texts, entries in pairs)
    return next((difference for difference in differences if difference is not None), None)


def _expand(groups: Mapping[str, Any], name: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the requirements of a dependency group and of those that it includes (PEP 735)."""
    for item in groups.get(name) or ():
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and (included := _normalize(str(item.get("include-group")))) not in seen:
            yield from _expand(groups, included, seen | {name})


def _compare(texts: Iterable[str], entries: Iterable[Any], path: str) -> str | None:
    from packaging.specifiers import SpecifierSet

    locked: dict[str, list[SpecifierSet | None]] = {}
    for entry in map(_mapping, entries):
        is_elsewhere = not entry.keys().isdisjoint(_NOT_IN_AN_INDEX)
        specifier = None if is_elsewhere else SpecifierSet(entry.get("specifier", ""))
        locked.setdefault(_normalize(str(entry.get("name"))), []).append(specifier)
    required: set[str] = set()
    for text in texts:
        requirement = _parse(text, path)
        name = _normalize(requirement.name)
        required.add(name)
        specifiers = locked.get(name, [])
        if requirement.specifier not in specifiers and None not in specifiers:
            return f"{text} is not in it"
    extra = sorted(locked.keys() - required)
    return f"{extra[0]} is no longer declared" if extra else None


def _reachable(
    packages: Iterable[Mapping[str, Any]], own: Mapping[str, Any], selected: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield the packages that are installed for the project with these groups and extras, and a few more."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(str(package.get("name")), []).append(package)
    reached: set[str] = set()
    pending = [(own, True)]
    while pending:
        package, is_own = pending.pop()
        yield package
        entries = [*(package.get("dependencies") or ())]
        for key in ("optional-dependencies", "dev-dependencies") if is_own else ("optional-dependencies",):
            for name, group in _mapping(package.get(key)).items():
                entries += group if not is_own or _normalize(name) in selected else ()
        for name in {str(_mapping(entry).get("name")) for entry in entries} - reached:
            reached.add(name)
            pending += [(dependency, False) for dependency in by_name.get(name, ())]


def _parse(text: Any, path: str) -> "Requirement":
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except (InvalidRequirement, TypeError):
        raise RequirementsError("InvalidRequirement", f"{shorten(str(text))} is not a requirement", path) from None


def _normalize(name: str) -> str:
    """Return the normalized name of a package, a group or an extra (PEP 503, PEP 735)."""
    return re.sub(r"[-_.]+", "-", name).lower()
