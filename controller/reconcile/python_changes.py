"""Compares the packages that deployments declare at two revisions, as far as that is known without an index. Pure.

Called by the two comparisons of `controller plan`: of two commits, and of a commit with the active deployments.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from controller.manifests.declared_packages import declared_packages
from controller.model.python_environments import PythonRequest
from controller.records import dataclass

MAX_PACKAGES = 200
"""Maximum number of packages listed for one deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """One package whose version changes. A side is None if it does not have the package.

    A side without a lock has the version specifier, such as `>=3`. `python` is Python itself.
    """

    package: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonChange:
    """A deployment whose Python environment changes, and the packages that differ."""

    deployment: str
    packages: tuple[PackageChange, ...]


def python_changes(
    before: Mapping[str, PythonRequest], after: Mapping[str, PythonRequest], names: set[str]
) -> Iterator[PythonChange]:
    """Yield the changes of these deployments, sorted by name; both mappings hold requests by deployment."""
    cache: dict[str, Mapping[str, str]] = {}
    for name in sorted(names & {*before, *after}):
        old, new = (_packages(requests.get(name), cache) for requests in (before, after))
        packages = tuple(islice(_differences(old, new), MAX_PACKAGES))
        if packages:
            yield PythonChange(deployment=name, packages=packages)


def _packages(request: PythonRequest | None, cache: dict[str, Mapping[str, str]]) -> Mapping[str, str]:
    if request is None:
        return {}
    if request.digest not in cache:
        cache[request.digest] = declared_packages(request)
    return cache[request.digest]


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[PackageChange]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield PackageChange(package=name, before=before.get(name), after=after.get(name))
