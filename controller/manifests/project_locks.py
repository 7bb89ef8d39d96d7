"""Reads a Python project, as text: pyproject.toml and its lock, uv.lock or pylock.toml.

`python_requests` calls it. A project without a lock, or with one that does not match it, is an error: the controller
never chooses the versions of a project.
"""

import posixpath
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.manifests.requirements_files import RequirementsError, read_text
from controller.text import did_you_mean, shorten

PROJECT, LOCKS = "pyproject.toml", ("uv.lock", "pylock.toml")

Read = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFiles:
    """The path of the lock, the texts of all files by path, and the version specifier of Python, if there is one."""

    lock: str
    files: Mapping[str, str]
    requires_python: str | None


def read_project_files(folder: str, groups: Iterable[str], extras: Iterable[str], read: Read) -> ProjectFiles:
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
                _check_lock(project, _load(lock, files[lock]), path, lock)
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
    for name in names:
        if name not in declared:
            hint = did_you_mean(name, declared) or (f"{noun}s: {', '.join(declared)}" if declared else None)
            raise RequirementsError("InvalidRequirement", f"there is no {noun} {shorten(name)}", path, 1, hint)


def _check_lock(project: Mapping[str, Any], lock: Mapping[str, Any], path: str, lock_path: str) -> None:
    """Raise RequirementsError if a dependency of the project is not in its lock, or with another version specifier."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    metadata = _mapping(project.get("project"))
    locked = _locked(lock, metadata.get("name"))
    for text in metadata.get("dependencies") or ():
        try:
            requirement = Requirement(text)
        except (InvalidRequirement, TypeError):
            raise RequirementsError("InvalidRequirement", f"{shorten(str(text))} is not a requirement", path) from None
        name = canonicalize_name(requirement.name)
        specifiers = locked.get(name)
        is_same = specifiers is not None and (
            not specifiers or requirement.url is not None or requirement.specifier in specifiers
        )
        if not is_same:
            message = f"the lock does not match {path}: {shorten(text)} is not in it"
            raise RequirementsError("LockOutdated", message, lock_path, 1, "run `uv lock`, and commit the lock")


def _locked(lock: Mapping[str, Any], name: Any) -> dict[str, list[Any]]:
    """Return the specifiers with which the project was locked, by package; empty ones if the lock does not say them."""
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    packages = [_mapping(package) for package in lock.get("package") or lock.get("packages") or ()]
    locked: dict[str, list[Any]] = {canonicalize_name(str(package.get("name"))): [] for package in packages}
    for package in packages:
        source = _mapping(package.get("source"))
        if isinstance(name, str) and package.get("name") == canonicalize_name(name) and source.keys() & _LOCAL:
            declared = _mapping(package.get("metadata")).get("requires-dist") or ()
            locked = {}
            for each in map(_mapping, declared):
                specifier = SpecifierSet(each.get("specifier", ""))
                locked.setdefault(canonicalize_name(str(each.get("name"))), []).append(specifier)
            return locked
    return locked


_LOCAL = {"virtual", "editable", "directory"}
"""The sources of packages that are in the repository."""
