"""All manifests of one revision to what they declare together: the only stateful part, and its state is a cache.

The reconciler and `controller validate` call it. It must not touch the disk, the clock or the network: files come
with their content, and the time as an argument. It never raises for bad input.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from operator import is_
from types import MappingProxyType

from controller.manifests.build import Built, build
from controller.manifests.load import Loaded, load
from controller.manifests.nodes import Place, Problem
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity
from controller.model.snapshots import ManifestFile

MAX_FILES = 10_000
MAX_FINDINGS_PER_FILE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What a revision declares.

    `deployments` holds the valid ones by name. `broken_files` are those with an error (or beyond the limit of
    files): what was known from them stays as it was. `declared_names` are all names seen, valid or not.
    """

    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    broken_files: frozenset[str] = frozenset()
    declared_names: frozenset[str] = frozenset()
    file_count: int = 0
    document_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one version of one file says, taken alone."""

    digest: str
    built: tuple[Built, ...]
    findings: tuple[Finding, ...]


class ManifestReader:
    """Reads revision after revision; files that did not change are not parsed again.

    `parsed` counts the files that were. Not for use by two threads at once.
    """

    def __init__(self) -> None:
        self.parsed = 0
        self._files: dict[str, _Read] = {}
        self._unread: list[str] = []
        self._state = DesiredState()

    def read(self, files: Iterable[ManifestFile], now: datetime) -> DesiredState:
        """What `files` declare together. `now` (aware) matters only for schedules that never fire after it."""
        remaining = iter(files)
        reads = {file.path: self._read(file, now) for file in islice(remaining, MAX_FILES)}
        unread = [file.path for file in remaining]
        same = unread == self._unread and len(reads) == len(self._files)
        if same and all(map(is_, reads.values(), self._files.values())):
            return self._state
        self._files, self._unread = reads, unread
        self._state = self._combine(reads, unread)
        return self._state

    def _combine(self, reads: Mapping[str, _Read], unread: list[str]) -> DesiredState:
        findings = [finding for read in reads.values() for finding in read.findings]
        findings += _duplicates(reads)
        if unread:
            findings.append(_too_many(unread[0], len(reads) + len(unread)))
        taken = {finding.deployment for finding in findings if finding.code == "DuplicateName"}
        built = [built for read in reads.values() for built in read.built]
        valid = [one.deployment for one in built if one.deployment and one.deployment.name not in taken]
        return DesiredState(
            deployments=MappingProxyType({deployment.name: deployment for deployment in valid}),
            findings=tuple(sorted(findings, key=_order)),
            broken_files=frozenset(_broken(findings)).union(unread),
            declared_names=frozenset(one.name for one in built if one.name is not None),
            file_count=len(reads) + len(unread),
            document_count=len(built),
        )

    def _read(self, file: ManifestFile, now: datetime) -> _Read:
        known = self._files.get(file.path)
        if known is not None and known.digest == file.digest:
            return known
        self.parsed += 1
        loaded = load(file.content, json=file.path.endswith(".json"))
        built = tuple(build(document, file.path, now) for document in loaded.documents)
        findings = tuple(_findings(file.path, loaded, built))
        return _Read(digest=file.digest, built=built, findings=findings)


def _findings(file: str, loaded: Loaded, built: tuple[Built, ...]) -> Iterator[Finding]:
    found = [problem.finding(file, None) for problem in loaded.problems]
    found += [problem.finding(file, one.identity) for one in built for problem in one.problems]
    if not found and not built:
        yield Problem(
            code="EmptyFile", message="declares nothing", place=Place(1, 1), severity=Severity.WARNING
        ).finding(file, None)
    found.sort(key=_order)
    yield from found[:MAX_FINDINGS_PER_FILE]
    if len(found) > MAX_FINDINGS_PER_FILE:
        last, more = found[MAX_FINDINGS_PER_FILE], len(found) - MAX_FINDINGS_PER_FILE
        place = Place(last.line, last.column)
        message = f"{more} more findings from here on are not shown"
        yield Problem(code="TooManyFindings", message=message, place=place).finding(file, None)


def _duplicates(reads: Mapping[str, _Read]) -> Iterator[Finding]:
    """A finding at every place of a name that is declared twice: nobody can say which one is meant."""
    places: dict[str, list[tuple[str, Built]]] = {}
    for path, read in reads.items():
        for one in read.built:
            if one.identity is not None:
                places.setdefault(one.identity, []).append((path, one))
    for name, found in places.items():
        for index, (path, one) in enumerate(found if len(found) > 1 else ()):
            other_path, other = found[1 if index == 0 else 0]
            yield Problem(
                code="DuplicateName",
                message=f"the name {name} is also declared in {other_path}:{other.place.line}",
                place=one.place,
                path=("name",),
                hint="rename one of them",
            ).finding(path, name)


def _too_many(path: str, count: int) -> Finding:
    message = f"{count} files, and at most {MAX_FILES} are read: this one and all after it were not"
    return Problem(code="TooManyFiles", message=message, place=Place(1, 1)).finding(path, None)


def _broken(findings: Iterable[Finding]) -> Iterator[str]:
    return (finding.file for finding in findings if finding.severity is Severity.ERROR)


def _order(finding: Finding) -> tuple[str, int, int, str]:
    return (finding.file, finding.line, finding.column, finding.code)
