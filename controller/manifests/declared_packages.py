"""Reads which packages the request for a Python environment declares, without asking an index. Pure.

For `controller plan`, which compares two requests. A lock has versions; a list without pins has version specifiers.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controller.manifests.requirements_files import RequirementsError, read_requirements
from controller.model.python_environments import PythonRequest, RequirementsSource

_LOCKS = ("uv.lock", "pylock.toml")
_LOCAL = ("virtual", "editable", "directory")
_EXACT = ("==", "===")


def declared_packages(request: PythonRequest) -> Mapping[str, str]:
    """Return the version of each package by normalised name, or its version specifier if no version is chosen yet.

    An empty specifier is shown as `any version`. A file that can't be read has no packages. `python` has the version or
    the interpreter that is declared.
    """
    python = request.interpreter or request.version
    packages = defaultdict(set, {"python": {python}} if python is not None else {})
    items = _locked(request) if request.source is RequirementsSource.PROJECT else _required(request)
    for name, version in items:
        packages[name].add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(packages.items())}


def _required(request: PythonRequest) -> Iterator[tuple[str, str]]:
    """Yield the requirements of the files of a request."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        read = read_requirements(request.entry, lambda path: _bytes(request.files.get(path))) if request.files else None
    except RequirementsError:
        return
    for item in () if read is None else read.requirements:
        requirement = Requirement(item.text)
        pins = [one.version for one in requirement.specifier if one.operator in _EXACT]
        version = pins[0] if len(pins) == 1 else requirement.url or str(requirement.specifier) or "any version"
        yield canonicalize_name(requirement.name), version


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _locked(request: PythonRequest) -> Iterator[tuple[str, str]]:
    """Yield the packages of a lock: of a uv.lock only those that the project needs."""
    text = next((text for name in _LOCKS for path, text in request.files.items() if path.endswith(name)), "")
    try:
        lock, project = tomllib.loads(text), tomllib.loads(request.files.get(request.entry, ""))
        packages = lock.get("package") or lock.get("packages") or []
        root = _find_root(packages, project)
        for package in packages if root is None else _needed(packages, root, request):
            if "version" in package and not any(kind in package.get("source", {}) for kind in _LOCAL):
                yield package["name"], package["version"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError):
        return


def _find_root(packages: Iterable[Mapping[str, Any]], project: Mapping[str, Any]) -> Mapping[str, Any] | None:
    from packaging.utils import canonicalize_name

    name = canonicalize_name(project.get("project", {}).get("name", ""))
    roots = (one for one in packages if one["name"] == name and any(kind in one.get("source", {}) for kind in _LOCAL))
    return next(roots, None)


def _needed(
    packages: Iterable[Mapping[str, Any]], root: Mapping[str, Any], request: PythonRequest
) -> Iterable[Mapping[str, Any]]:
    """Return the packages that the project depends on, directly or not, with its groups and extras, on any platform."""
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for package in packages:
        by_name[package["name"]].append(package)
    pending = [*_dependencies(root, request.extras)]
    pending += [one for group in request.groups for one in root.get("dev-dependencies", {}).get(group, ())]
    visited, needed = set(), {}
    while pending:
        dependency = pending.pop()
        extras = tuple(sorted(dependency.get("extra", ())))
        for package in by_name[dependency["name"]]:
            key = (package["name"], package.get("version"))
            if dependency.get("version", key[1]) == key[1] and (key, extras) not in visited:
                visited.add((key, extras))
                needed[key] = package
                pending += _dependencies(package, extras)
    return needed.values()


def _dependencies(package: Mapping[str, Any], extras: Iterable[str]) -> list[Mapping[str, Any]]:
    optional = package.get("optional-dependencies", {})
    return [*package.get("dependencies", ()), *(one for extra in extras for one in optional.get(extra, ()))]
