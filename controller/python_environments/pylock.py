"""Converts a `pylock.toml` (PEP 751) to a lock: the requirements that apply to one interpreter. Pure.

Files come from the operator's indexes by their names and hashes, and not from the URLs in the file.
"""

import posixpath
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from controller.python_environments.failures import PythonBuildError


def convert(
    text: str,
    markers: Mapping[str, str],
    *,
    groups: Sequence[str],
    extras: Sequence[str],
    projects: Sequence[str] = (),
) -> str:
    """Return the lock, one line per package. Raises PythonBuildError.

    `projects` are the texts of pyproject.toml files: of the project, and of its workspace. These are not installed.
    """
    try:
        document = tomllib.loads(text)
        packages: Sequence[dict[str, Any]] = document["packages"]
        selected = {*document.get("default-groups", ()), *groups}
        environment: Any = {**markers, "extras": set(extras), "dependency_groups": selected}
        names, members = _own(projects)
        lines = [
            _line(package)
            for package in packages
            if _applies(package, environment) and not _is_own(package, names, members)
        ]
    except (tomllib.TOMLDecodeError, InvalidMarker, LookupError, TypeError, AttributeError) as error:
        raise PythonBuildError("ResolveFailed", f"pylock.toml can't be read: {error}.") from error
    return "".join(f"{line}\n" for line in sorted(lines))


def _own(projects: Sequence[str]) -> tuple[set[str], list[str]]:
    """Return the names of the projects, and the globs of the members of the workspace."""
    documents = [tomllib.loads(text) for text in projects]
    names = {canonicalize_name(document["project"]["name"]) for document in documents if "project" in document}
    settings = [document.get("tool", {}).get("uv", {}).get("workspace", {}) for document in documents]
    return set(names), [glob for workspace in settings for glob in workspace.get("members", ())]


def _is_own(package: Mapping[str, Any], names: Collection[str], members: Sequence[str]) -> bool:
    """Return whether this is the project, or a member of its workspace: their code is in the repository."""
    if "directory" not in package:
        return False
    path = PurePosixPath(posixpath.normpath(package["directory"]["path"]))
    return canonicalize_name(package["name"]) in names or any(path.match(glob) for glob in members)


def _applies(package: Mapping[str, Any], environment: Any) -> bool:
    marker = package.get("marker")
    return marker is None or Marker(marker).evaluate(environment, context="lock_file")


def _line(package: Mapping[str, Any]) -> str:
    if "directory" in package:
        raise PythonBuildError(
            "ResolveFailed",
            f"pylock.toml: {package['name']} is a folder, which can't be installed.",
            hint="Put the folder of its modules under import_paths, or publish a wheel to your index.",
        )
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    hashes = sorted({f"--hash={kind}:{value}" for file in files for kind, value in file["hashes"].items()})
    if not hashes or "version" not in package:
        raise PythonBuildError(
            "ResolveFailed", f"pylock.toml: {package['name']} is not a package of an index, with a version and hashes."
        )
    return f"{package['name']}=={package['version']} {' '.join(hashes)}"
