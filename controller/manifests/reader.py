"""Reads all manifests of one revision into the desired state that they declare together.

The reconciler and `controller validate` call it. `ManifestReader` has state, but only as a cache. It does not access
the disk, the clock or the network: files come with their content, and the time is an argument. It never raises for
invalid input.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from functools import partial
from itertools import islice
from operator import is_
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from controller.errors import UsageError
from controller.manifests.build import BuildResult
from controller.manifests.calendar_files import CalendarFiles
from controller.manifests.document_findings import differs, document_findings
from controller.manifests.flow_references import Flows, ModuleCache
from controller.manifests.name_findings import with_free_names
from controller.manifests.overlays import BuildOptions, build_in_environments, declared_environments
from controller.manifests.parse_cache import ParsedFiles, load_file
from controller.manifests.project_file import Project, find_calendar_files, read_project, unknown_environment
from controller.manifests.rendered_specs import NOT_RENDERED
from controller.manifests.yaml.loader import Loaded
from controller.manifests.yaml.nodes import Position, Problem
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity, by_place
from controller.model.python_environments import PythonRequest
from controller.model.shared_values import share
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile, is_python, is_spec
from controller.records import dataclass

MAX_FILES = 10_000
MAX_FINDINGS_PER_FILE = 200
MAX_PER_FILE = 10_000
"""Limit for the deployments that the matrices of one file declare together."""
_NO_VARIANTS: Mapping[str, tuple[BuildResult, ...]] = {}
_ACROSS_FILES = (
    "CaseOnlyRename",
    "DuplicateName",
    "DuplicateWebhook",
    "RenamedFromDeclared",
    "RenamedTwice",
    "UnknownUpstream",
    "DependencyCycle",
)
"""Codes of findings that concern several documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """The deployments and findings of one revision.

    - `deployments`: the valid ones, by name.
    - `broken_files`: files with an error, or beyond the limit of files. Their deployments stay as applied before.
    - `unclear_files`: broken files that may declare names that can't be read, each with the reason.
    - `declared_names`: all names, of valid and invalid documents.
    - `disabled`: the names of deployments with `enabled: false`, which do not exist in this environment.
    - `name_places`: where the valid deployments write their names, by name.
    - `environments`: those of the project and of all documents.
    - `python_requests`: what valid deployments with a Python environment of their own ask for, by name.
    - `limits`: the limits of the queues; None if the project is broken.
    """

    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    broken_files: frozenset[str] = frozenset()
    unclear_files: Mapping[str, str] = field(default_factory=dict)
    declared_names: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    name_places: Mapping[str, Position] = field(default_factory=dict)
    environments: frozenset[str] = frozenset()
    python_requests: Mapping[str, PythonRequest] = field(default_factory=dict)
    limits: Mapping[str, int] | None = None
    file_count: int = 0
    document_count: int = 0

    @property
    def lacks_environment(self) -> bool:
        """Whether the selected environment is not declared."""
        return any(finding.code == "UnknownEnvironment" for finding in self.findings)

    def check_environment(self) -> None:
        """Raise UsageError if the selected environment is not declared."""
        for finding in self.findings:
            if finding.code == "UnknownEnvironment":
                raise UsageError(f"--environment: {finding.message}.", hint=finding.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileResult:
    """The result for one version of one file on its own.

    `variants` has the documents in each other environment in which they relate to other documents in another way.
    `dependencies` has the digests of the code files it was checked against. `unclear` is the reason why the file may
    declare names that can't be read.
    """

    digest: str
    documents: tuple[BuildResult, ...]
    variants: Mapping[str, tuple[BuildResult, ...]]
    findings: tuple[Finding, ...]
    environments: frozenset[str]
    is_broken: bool
    only_name: str | None
    unclear: str | None
    dependencies: Mapping[str, str | None]


MapFiles = Callable[[Callable[[ManifestFile], Any], Sequence[ManifestFile]], Iterable[Any]]
"""Applies a function to files and returns the results in the same order, as `map` does."""


class ManifestReader:
    """Reads one revision after another, without parsing unchanged files again. Not thread-safe.

    Documents are rendered for `environment` (None: without overlays); `all_environments` also checks them in every
    other one. If `is_whole` is False, the files are only a part of the repository, so an undeclared environment is not
    reported; if `is_rooted` is False, missing code files are not. `files` is a cache that several readers can share.
    `project_name` is the only one that `controller.yaml` may declare, None for any.
    `map_files` may read in other processes, unless another reader shares the cache. `is_stored` as for `build`.
    `parsed` counts the files that were not read from this reader's own cache, `built` the documents in them.
    """

    def __init__(
        self,
        environment: str | None = None,
        *,
        project_name: str | None = None,
        all_environments: bool = False,
        is_whole: bool = True,
        is_rooted: bool = True,
        files: ParsedFiles | None = None,
        map_files: MapFiles = map,
        is_stored: bool = True,
    ) -> None:
        self.parsed = self.built = 0
        self._map_files = map_files
        self._load = load_file if files is None else files.load
        self._environment = environment
        self._all_environments = all_environments
        self._is_whole = is_whole
        self._is_rooted, self._is_stored = is_rooted, is_stored
        self._project_file: ManifestFile | RefusedFile | None = None
        self._calendar_files: CalendarFiles | None = None
        self._project, self._project_name = Project(), project_name
        self._modules = ModuleCache() if files is None else files.modules
        self._files: dict[str, _FileResult] = {}
        self._unread: list[str] | None = []
        self._ignored: list[str] = []
        self._state = self._combine({}, [])

    def reuse_results(self, reader: "ManifestReader", paths: Iterable[str]) -> None:
        """Start with another reader's results for these files, whose results in this environment do not matter."""
        self._project_file, self._project = reader._project_file, reader._project
        self._calendar_files = reader._calendar_files
        self._files = {path: reader._files[path] for path in paths if path in reader._files}
        self._unread = None

    def read(
        self,
        files: Iterable[ManifestFile],
        now: datetime,
        project: ManifestFile | RefusedFile | None = None,
        code: Code | None = None,
        calendar_files: CalendarFiles | None = None,
    ) -> DesiredState:
        """Return what `files` declare together with the `project`, checked against the `code` of the same revision.

        `now` (aware) is needed to report schedules that never fire again. Without `code`, missing flows and wrong
        parameters are not reported, and the project's `calendar_files` are needed. Raises SourceError.
        """
        if calendar_files is None and code is not None:
            calendar_files = find_calendar_files(project, code)
        if (project, calendar_files) != (self._project_file, self._calendar_files):
            self._project_file, self._calendar_files = project, calendar_files
            self._project = read_project(project, now, calendar_files, self._project_name)
            self._files, self._unread, self._state = {}, [], self._combine({}, [])
        expected = {path for result in self._files.values() for path in result.dependencies}
        options = BuildOptions(
            project=self._project,
            environment=self._environment,
            all_environments=self._all_environments,
            flows=None if code is None else Flows(code, self._modules, expected, is_whole=self._is_rooted),
            is_stored=self._is_stored,
        )
        remaining = (file for file in files if not is_python(file.path) or is_spec(file.path, file.content))
        results = self._read_files(list(islice(remaining, MAX_FILES)), now, options)
        unread = [file.path for file in remaining]
        ignored = [] if options.flows is None else _ignored_projects(results, options.flows)
        same_paths = (unread, ignored) == (self._unread, self._ignored) and len(results) == len(self._files)
        if same_paths and all(map(is_, results.values(), self._files.values())):
            return self._state
        self._files, self._unread, self._ignored = results, unread, ignored
        self._state = self._combine(results, unread)
        return self._state

    def _combine(self, results: Mapping[str, _FileResult], unread: list[str]) -> DesiredState:
        """Return the desired state, without deployments if the project is broken or the environment is undeclared."""
        project, state = self._project, self._combine_documents(results, unread)
        findings = [problem.finding(PROJECT_FILE, None) for problem in project.problems]
        findings += [_ignored_project(path) for path in self._ignored]
        environments = frozenset(project.environments).union(*(result.environments for result in results.values()))
        state = replace(state, environments=environments)
        selected = self._environment
        is_unknown = self._is_whole and selected is not None and selected not in environments
        if project.is_broken or is_unknown:
            if selected is not None and not project.is_broken:
                findings.append(unknown_environment(selected, environments).finding(PROJECT_FILE, None))
            state = replace(state, deployments={}, findings=(), broken_files=frozenset({*results, *unread}))
        return replace(
            state,
            limits=None if project.is_broken else project.limits,
            findings=tuple(sorted((*findings, *state.findings), key=by_place)),
            file_count=state.file_count + (self._project_file is not None),
        )

    def _combine_documents(self, results: Mapping[str, _FileResult], unread: list[str]) -> DesiredState:
        names = _declared_names(results)
        findings = list(with_free_names((each for result in results.values() for each in result.findings), names))
        findings += _path_clashes(results)
        unclear = {path: result.unclear for path, result in results.items() if result.unclear is not None}
        unclear |= dict.fromkeys(unread, "was not read")
        findings += document_findings(
            _placed(results, None),
            {
                name: _placed(results, name)
                for name in sorted({name for each in results.values() for name in each.variants})
            },
            only_names=[each.only_name for each in results.values() if each.only_name is not None],
            is_complete=self._is_whole and not unclear,
        )
        if unread:
            findings.append(_too_many(unread[0], len(results) + len(unread)))
        ambiguous = {finding.deployment for finding in findings if finding.code in _ACROSS_FILES}
        all_documents = [document for result in results.values() for document in result.documents]
        documents = [document for document in all_documents if document.is_enabled]
        deployments = [document.deployment for document in documents if document.deployment]
        valid = [deployment for deployment in deployments if deployment.name not in ambiguous]
        return DesiredState(
            deployments=MappingProxyType({deployment.name: deployment for deployment in valid}),
            name_places={each.deployment.name: each.place for each in documents if each.deployment is not None},
            python_requests={
                document.deployment.name: document.python
                for document in documents
                if document.deployment is not None and document.python is not None
            },
            findings=tuple(sorted(findings, key=by_place)),
            broken_files=frozenset(path for path, result in results.items() if result.is_broken).union(
                (finding.file for finding in findings if finding.code in _ACROSS_FILES), unread
            ),
            unclear_files=unclear,
            declared_names=names,
            disabled=frozenset(each.identity for each in all_documents if not each.is_enabled and each.identity)
            - names,
            file_count=len(results) + len(unread),
            document_count=len(all_documents),
        )

    def _read_files(
        self, files: Sequence[ManifestFile], now: datetime, options: BuildOptions
    ) -> dict[str, _FileResult]:
        """Return the results by path, from the cache for unchanged files."""
        changed = [file for file in files if not self._is_cached(file, options.flows)]
        results = list(self._map_files(partial(self._read_file, now=now, options=options), changed))
        self.parsed += len(results)
        self.built += sum(len(result.documents) for result in results)
        new = dict(zip((file.path for file in changed), results, strict=True))
        return {file.path: new.get(file.path) or self._files[file.path] for file in files}

    def _is_cached(self, file: ManifestFile, flows: Flows | None) -> bool:
        cached = self._files.get(file.path)
        return cached is not None and cached.digest == file.digest and _is_unchanged(flows, cached)

    def _read_file(self, file: ManifestFile, now: datetime, options: BuildOptions) -> _FileResult:
        flows = options.flows
        loaded = self._load(file)
        documents, variants = _build_documents(loaded, file.path, now, options)
        findings = tuple(_findings(file.path, loaded, documents))
        return _FileResult(
            digest=file.digest,
            documents=documents,
            variants=variants or _NO_VARIANTS,
            findings=findings,
            environments=share(
                frozenset(name for each in loaded.documents for name in declared_environments(each.root))
            ),
            is_broken=any(finding.severity is Severity.ERROR or finding.code == NOT_RENDERED for finding in findings),
            only_name=loaded.only_name,
            unclear=_unclear_reason(loaded, documents),
            dependencies=_shared_mapping({} if flows is None else flows.take_dependencies()),
        )


def _shared_mapping(digests: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Return one mapping for all files that were checked against the same versions of the same code files."""
    return share(digests, tuple(digests.items()))


def _build_documents(
    loaded: Loaded, file: str, now: datetime, options: BuildOptions
) -> tuple[tuple[BuildResult, ...], Mapping[str, tuple[BuildResult, ...]]]:
    """Build the documents of a file, with those that matrices declare, up to the limit for them.

    Also returns them for each other environment in which they relate to other documents in another way.
    """
    results: list[BuildResult] = []
    parts = []
    for document in loaded.documents:
        limit = max(1, MAX_PER_FILE - len(results))
        part, others = build_in_environments(document, file, now, options, limit)
        others = {name: documents for name, documents in others.items() if differs(part, documents)}
        results += part
        parts.append((part, others))
    names = {name for _, others in parts for name in others}
    variants = {name: tuple(each for part, others in parts for each in others.get(name, part)) for name in names}
    return tuple(results), variants


def _placed(results: Mapping[str, _FileResult], environment: str | None) -> list[tuple[str, BuildResult]]:
    """Return the documents of all files in an environment, each with its file; None is the chosen environment."""
    return [
        (path, document)
        for path, result in results.items()
        for document in (
            result.documents if environment is None else result.variants.get(environment, result.documents)
        )
    ]


def _is_unchanged(flows: Flows | None, result: _FileResult) -> bool:
    return flows is None or flows.are_unchanged(result.dependencies)


def _declared_names(results: Mapping[str, _FileResult]) -> frozenset[str]:
    documents = (each.name for result in results.values() for each in result.documents if each.is_enabled)
    return frozenset(filter(None, (*documents, *(result.only_name for result in results.values()))))


def _unclear_reason(loaded: Loaded, documents: Iterable[BuildResult]) -> str | None:
    """Return why the names that the file declares are not all known; None if they are."""
    errors = {problem.code for problem in loaded.problems if problem.is_error}
    if errors and loaded.only_name is None:
        return "cannot be executed" if "PythonSpecFailed" in errors else "cannot be parsed"
    return "declares a deployment without a valid name" if any(each.identity is None for each in documents) else None


def _findings(file: str, loaded: Loaded, documents: tuple[BuildResult, ...]) -> Iterator[Finding]:
    findings = [problem.finding(file, loaded.only_name) for problem in loaded.problems]
    findings += [problem.finding(file, document.identity) for document in documents for problem in document.problems]
    if not findings and not documents:
        yield Problem(
            code="EmptyFile", message="the file declares no deployment", place=Position(1, 1), severity=Severity.WARNING
        ).finding(file, None)
    findings.sort(key=by_place)
    yield from findings[:MAX_FINDINGS_PER_FILE]
    if len(findings) > MAX_FINDINGS_PER_FILE:
        first, more = findings[MAX_FINDINGS_PER_FILE], len(findings) - MAX_FINDINGS_PER_FILE
        place = Position(first.line, first.column)
        message = f"{more} more findings from here on are not shown"
        yield Problem(code="TooManyFindings", message=message, place=place).finding(file, None)


def _path_clashes(results: Mapping[str, _FileResult]) -> Iterator[Finding]:
    """Yield a warning for each path that differs from an earlier one only in case: some file systems keep only one."""
    first: dict[str, str] = {}
    for path in results:
        first_path = first.setdefault(path.casefold(), path)
        if first_path != path:
            yield Problem(
                code="PathClash",
                message=f"the path differs from {first_path} only in upper and lower case",
                place=Position(1, 1),
                hint="rename one of them: a checkout on macOS or Windows keeps only one",
                severity=Severity.WARNING,
            ).finding(path, None)


def _ignored_projects(files: Iterable[str], flows: Flows) -> list[str]:
    """Return the project files in the folders of these manifests and above, which are not read."""
    folders = {str(folder) for file in files for folder in list(PurePosixPath(file).parents)[:-1]}
    paths = sorted(f"{folder}/{PROJECT_FILE}" for folder in folders)
    return flows.existing_files(path for path in paths if path not in files)


def _ignored_project(path: str) -> Finding:
    message = f"this file is not read: only {PROJECT_FILE} at the root of the repository is"
    hint = f"move its settings to {PROJECT_FILE} at the root"
    place = Position(1, 1)
    problem = Problem(code="ProjectFileIgnored", message=message, place=place, hint=hint, severity=Severity.WARNING)
    return problem.finding(path, None)


def _too_many(path: str, count: int) -> Finding:
    message = f"{count} manifests; the limit is {MAX_FILES}: this file and all after it were not read"
    return Problem(code="TooManyFiles", message=message, place=Position(1, 1)).finding(path, None)
