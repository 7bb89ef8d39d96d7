"""Counts the code files that manifests were checked against, so that a changed manifest needs no scan of the others."""

from collections import Counter
from collections.abc import Iterable, Mapping

from controller.manifests.file_results import FileResult
from controller.manifests.flow_references import Flows

Digests = Mapping[str, str | None]


class CodeDependencies:
    """The digests of the code files that these results depend on. Most results share one mapping of digests."""

    def __init__(self, results: Iterable[FileResult] = ()) -> None:
        self._mappings: dict[int, Digests] = {}
        self._counts: Counter[int] = Counter()
        for result in results:
            self._add(result)

    def paths(self) -> set[str]:
        """Return the paths of all code files."""
        return {path for digests in self._mappings.values() for path in digests}

    def find_outdated(self, flows: Flows | None) -> set[int]:
        """Return the ids of the mappings of which a file has changed; without `flows`, none has."""
        if flows is None:
            return set()
        return {key for key, digests in self._mappings.items() if not flows.are_unchanged(digests)}

    def replace(self, old: FileResult, new: FileResult) -> None:
        """Replace a result by that of another version of its file."""
        self._add(new)
        key = id(old.dependencies)
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key], self._mappings[key]

    def _add(self, result: FileResult) -> None:
        key = id(result.dependencies)
        self._mappings[key] = result.dependencies
        self._counts[key] += 1
