"""Converts a `pylock.toml` (PEP 751) to a lock: the requirements that apply to one interpreter. Pure.

Files come from the operator's indexes by their names and hashes, and not from the URLs in the file.
"""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.markers import InvalidMarker, Marker

from controller.python_environments.failures import PythonBuildError


def convert(text: str, markers: Mapping[str, str], *, groups: Sequence[str], extras: Sequence[str]) -> str:
    """Return the lock, one line per package. Raises PythonBuildError."""
    try:
        document = tomllib.loads(text)
        packages: Sequence[dict[str, Any]] = document["packages"]
        selected = {*document.get("default-groups", ()), *groups}
        environment: Any = {**markers, "extras": set(extras), "dependency_groups": selected}
        lines = [_line(package) for package in packages if _applies(package, environment)]
    except (tomllib.TOMLDecodeError, InvalidMarker, LookupError, TypeError, AttributeError) as error:
        raise PythonBuildError("ResolveFailed", f"pylock.toml can't be read: {error}.") from error
    return "".join(f"{line}\n" for line in sorted(lines))


def _applies(package: Mapping[str, Any], environment: Any) -> bool:
    marker = package.get("marker")
    return marker is None or Marker(marker).evaluate(environment, context="lock_file")


def _line(package: Mapping[str, Any]) -> str:
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    hashes = sorted({f"--hash={kind}:{value}" for file in files for kind, value in file["hashes"].items()})
    if not hashes or "version" not in package:
        raise PythonBuildError(
            "ResolveFailed", f"pylock.toml: {package['name']} is not a package of an index, with a version and hashes."
        )
    return f"{package['name']}=={package['version']} {' '.join(hashes)}"
