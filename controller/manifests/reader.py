"""All manifests of one revision to what they declare together: the only stateful part, and its state is a cache.

The reconciler and `controller validate` call it. It must not touch the disk, the clock or the network: files come
with their content, and the time as an argument. It never raises for bad input.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from operator import is_
from types import MappingProxyType

from controller.errors import UsageError
from controller.manifests.build import Built
from controller.manifests.flow_references import Flows, Modules
from controller.manifests.overlays import View, build_in, declared_environments
from controller.manifests.parse_cache import ParsedFiles, load_file
from controller.manifests.project_file import Project, read_project, unknown_environment
from controller.manifests.rendered_specs import NOT_RENDERED
from controller.manifests.yaml.loader import Loaded
from controller.manifests.yaml.nodes import Position, Problem
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity, by_place
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile, is_python, is_spec

MAX_FILES = 10_000
MAX_FINDINGS_PER_FILE = 200
_ACROSS_FILES = ("DuplicateName", "RenamedFromDeclared", "RenamedTwice")
"""What only several documents together can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What a revision declares.

    `deployments` holds the valid ones by name. `broken_files` are those with an error (or beyond the limit of
    files): what was known from them stays as it was. `unclear_files` are those of them that may declare names which
    nobody can read, each with what is the matter. `declared_names` are all names seen, valid or not, and `environments`
    those of the project and of all documents. `limits` are those of the queues; None where the project
    is broken.
    """

    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    broken_files: frozenset[str] = frozenset()
    unclear_files: Mapping[str, str] = field(default_factory=dict)
    declared_names: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    limits: Mapping[str, int] | None = None
    file_count: int = 0
    document_count: int = 0

    @property
    def lacks_environment(self) -> bool:
        """Whether nothing declares the environment that was asked for."""
        return any(finding.code == "UnknownEnvironment" for finding in self.findings)

    def check_environment(self) -> None:
        """Raises UsageError if nothing declares the environment that was asked for."""
        for finding in self.findings:
            if finding.code == "UnknownEnvironment":
                raise UsageError(f"--environment: {finding.message}.", hint=finding.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one version of one file says, taken alone; `code` has the digests of the flows that it was held against.

    `unclear` says why it may declare names that nobody can read.
    """

    digest: str
    built: tuple[Built, ...]
    findings: tuple[Finding, ...]
    environments: frozenset[str]
    is_broken: bool
    only_name: str | None
    unclear: str | None
    code: Mapping[str, str | None]


class ManifestReader:
    """Reads revision after revision; files that did not change are not parsed again.

    Documents are as they are in `environment`; None is outside of all. `all_environments` checks them in every other
    one too. `is_whole` False: the files are only some of the repository, and others may declare the environment.
    `parsed` counts the files that were read anew; with `files`, several readers parse each of them only once. Not for
    use by two threads at once.
    """

    def __init__(
        self,
        environment: str | None = None,
        *,
        all_environments: bool = False,
        is_whole: bool = True,
        is_rooted: bool = True,
        files: ParsedFiles | None = None,
    ) -> None:
        self.parsed = 0
        self._load = load_file if files is None else files.load
        self._environment = environment
        self._all_environments = all_environments
        self._is_whole = is_whole
        self._is_rooted = is_rooted
        self._project_file: ManifestFile | RefusedFile | None = None
        self._project = Project()
        self._modules = Modules() if files is None else files.modules
        self._files: dict[str, _Read] = {}
        self._unread: list[str] | None = []
        self._state = self._combine({}, [])

    def borrow(self, other: "ManifestReader", paths: Iterable[str]) -> None:
        """Begin with what another reader found in these files: what this one would find there does not matter."""
        self._project_file, self._project = other._project_file, other._project
        self._files = {path: other._files[path] for path in paths if path in other._files}
        self._unread = None

    def read(
        self,
        files: Iterable[ManifestFile],
        now: datetime,
        project: ManifestFile | RefusedFile | None = None,
        code: Code | None = None,
    ) -> DesiredState:
        """What `files` declare together under the `project`, checked against the `code` of the same revision.

        `now` (aware) matters only for schedules that never fire after it. `code` None leaves out whether flows are
        there and take their parameters. Raises SourceError where the code can't be read.
        """
        if project != self._project_file:
            self._project_file, self._project = project, read_project(project, now)
            self._files, self._unread, self._state = {}, [], self._combine({}, [])
        known = {path for read in self._files.values() for path in read.code}
        view = View(
            project=self._project,
            environment=self._environment,
            all_environments=self._all_environments,
            flows=None if code is None else Flows(code, self._modules, known, is_whole=self._is_rooted),
        )
        remaining = (file for file in files if not is_python(file.path) or is_spec(file.path, file.content))
        reads = {file.path: self._read(file, now, view) for file in islice(remaining, MAX_FILES)}
        unread = [file.path for file in remaining]
        same = unread == self._unread and len(reads) == len(self._files)
        if same and all(map(is_, reads.values(), self._files.values())):
            return self._state
        self._files, self._unread = reads, unread
        self._state = self._combine(reads, unread)
        return self._state

    def _combine(self, reads: Mapping[str, _Read], unread: list[str]) -> DesiredState:
        """The state; without deployments where it can't be known what any of them says."""
        project, state = self._project, self._documents(reads, unread)
        findings = [problem.finding(PROJECT_FILE, None) for problem in project.problems]
        environments = frozenset(project.environments).union(*(read.environments for read in reads.values()))
        state = replace(state, environments=environments)
        wanted = self._environment
        is_unknown = self._is_whole and wanted is not None and wanted not in environments
        if project.is_broken or is_unknown:
            if wanted is not None and not project.is_broken:
                findings.append(unknown_environment(wanted, environments).finding(PROJECT_FILE, None))
            state = replace(state, deployments={}, findings=(), broken_files=frozenset({*reads, *unread}))
        return replace(
            state,
            limits=None if project.is_broken else project.limits,
            findings=tuple(sorted((*findings, *state.findings), key=by_place)),
            file_count=state.file_count + (self._project_file is not None),
        )

    def _documents(self, reads: Mapping[str, _Read], unread: list[str]) -> DesiredState:
        findings = [finding for read in reads.values() for finding in read.findings]
        findings += _duplicates(reads)
        findings += _same_but_for_case(reads)
        findings += _not_renamed(reads)
        findings += _renamed_twice(reads)
        if unread:
            findings.append(_too_many(unread[0], len(reads) + len(unread)))
        taken = {finding.deployment for finding in findings if finding.code in _ACROSS_FILES}
        built = [built for read in reads.values() for built in read.built]
        valid = [one.deployment for one in built if one.deployment and one.deployment.name not in taken]
        return DesiredState(
            deployments=MappingProxyType({deployment.name: deployment for deployment in valid}),
            findings=tuple(sorted(findings, key=by_place)),
            broken_files=frozenset(path for path, read in reads.items() if read.is_broken).union(
                (finding.file for finding in findings if finding.code in _ACROSS_FILES), unread
            ),
            unclear_files={
                **{path: read.unclear for path, read in reads.items() if read.unclear is not None},
                **dict.fromkeys(unread, "was not read"),
            },
            declared_names=frozenset(one.name for one in built if one.name is not None).union(
                read.only_name for read in reads.values() if read.only_name is not None
            ),
            file_count=len(reads) + len(unread),
            document_count=len(built),
        )

    def _read(self, file: ManifestFile, now: datetime, view: View) -> _Read:
        known = self._files.get(file.path)
        flows = view.flows
        if known is not None and known.digest == file.digest and (flows is None or flows.are(known.code)):
            return known
        self.parsed += 1
        loaded = self._load(file)
        built = tuple(build_in(document, file.path, now, view) for document in loaded.documents)
        findings = tuple(_findings(file.path, loaded, built))
        return _Read(
            digest=file.digest,
            built=built,
            findings=findings,
            environments=frozenset(e for one in loaded.documents for e in declared_environments(one.root)),
            is_broken=any(one.severity is Severity.ERROR or one.code == NOT_RENDERED for one in findings),
            only_name=loaded.only_name,
            unclear=_unclear(loaded, built),
            code={} if flows is None else flows.take(),
        )


def _unclear(loaded: Loaded, built: Iterable[Built]) -> str | None:
    """Why nobody can say which names the file declares; None where all of them can be read."""
    errors = {problem.code for problem in loaded.problems if problem.is_error}
    if errors and loaded.only_name is None:
        return "cannot be executed" if "PythonSpecFailed" in errors else "cannot be parsed"
    return "declares a deployment without a valid name" if any(one.identity is None for one in built) else None


def _findings(file: str, loaded: Loaded, built: tuple[Built, ...]) -> Iterator[Finding]:
    found = [problem.finding(file, loaded.only_name) for problem in loaded.problems]
    found += [problem.finding(file, one.identity) for one in built for problem in one.problems]
    if not found and not built:
        yield Problem(
            code="EmptyFile", message="declares nothing", place=Position(1, 1), severity=Severity.WARNING
        ).finding(file, None)
    found.sort(key=by_place)
    yield from found[:MAX_FINDINGS_PER_FILE]
    if len(found) > MAX_FINDINGS_PER_FILE:
        last, more = found[MAX_FINDINGS_PER_FILE], len(found) - MAX_FINDINGS_PER_FILE
        place = Position(last.line, last.column)
        message = f"{more} more findings from here on are not shown"
        yield Problem(code="TooManyFindings", message=message, place=place).finding(file, None)


def _same_but_for_case(reads: Mapping[str, _Read]) -> Iterator[Finding]:
    """A warning for each file whose path another one has, but for upper and lower case: some machines keep one."""
    first: dict[str, str] = {}
    for path in reads:
        other = first.setdefault(path.casefold(), path)
        if other != path:
            yield Problem(
                code="PathClash",
                message=f"{other} has the same path but for upper and lower case",
                place=Position(1, 1),
                hint="rename one of them: on macOS and Windows a checkout keeps only one",
                severity=Severity.WARNING,
            ).finding(path, None)


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


def _not_renamed(reads: Mapping[str, _Read]) -> Iterator[Finding]:
    """A finding for each that says it was renamed from what is still declared."""
    names = {one.identity for read in reads.values() for one in read.built}
    for path, read in reads.items():
        for one in read.built:
            old = one.deployment.renamed_from if one.deployment is not None else None
            if old is not None and old in names:
                yield Problem(
                    code="RenamedFromDeclared",
                    message=f"{old} is still declared, so it was not renamed",
                    place=one.renamed,
                    path=("renamed_from",),
                    hint="remove renamed_from, or the document that still has the old name",
                ).finding(path, one.identity)


def _renamed_twice(reads: Mapping[str, _Read]) -> Iterator[Finding]:
    """A finding for each but the first that says it was renamed from the same: one history goes to one name."""
    first: dict[str, tuple[str, Built]] = {}
    for path, read in reads.items():
        for one in read.built:
            old = one.deployment.renamed_from if one.deployment is not None else None
            if old is not None and first.setdefault(old, (path, one))[1] is not one:
                other_path, other = first[old]
                yield Problem(
                    code="RenamedTwice",
                    message=f"{old} was renamed in {other_path}:{other.renamed.line} already, and has one history",
                    place=one.renamed,
                    path=("renamed_from",),
                    hint="remove renamed_from here, or there",
                ).finding(path, one.identity)


def _too_many(path: str, count: int) -> Finding:
    message = f"{count} files, and at most {MAX_FILES} are read: this one and all after it were not"
    return Problem(code="TooManyFiles", message=message, place=Position(1, 1)).finding(path, None)
