"""Reads all manifests of one revision into the desired state that they declare together.

The reconciler and `controller validate` call it. `ManifestReader` has state, but only as a cache. It does not access
the disk, the clock or the network: files come with their content, and the time is an argument. It never raises for
invalid input.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from controller.errors import UsageError
from controller.manifests.build import BuildResult
from controller.manifests.calendar_files import CalendarFiles
from controller.manifests.code_dependencies import CodeDependencies
from controller.manifests.document_findings import document_findings
from controller.manifests.file_results import FileResult, QuickReader, is_alike, read_file
from controller.manifests.flow_references import Flows, ModuleCache
from controller.manifests.name_findings import with_free_names
from controller.manifests.overlays import BuildOptions
from controller.manifests.parse_cache import ParsedFiles, load_file, load_file_values
from controller.manifests.project_file import Project, find_calendar_files, read_project, unknown_environment
from controller.manifests.yaml.nodes import Position, Problem
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity, by_place
from controller.model.python_environments import PythonRequest
from controller.model.snapshots import (
    PROJECT_FILE,
    Code,
    ManifestFile,
    RefusedFile,
    find_replaced,
    is_spec,
    python_files,
)
from controller.model.updated_mapping import update_mapping
from controller.records import dataclass

MAX_FILES = 10_000
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
_OF_MANY = frozenset((*_ACROSS_FILES, "UnknownEnvironment"))
"""Codes of findings that can change with any document."""


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


MapFiles = Callable[[Callable[[ManifestFile], Any], Sequence[ManifestFile]], Iterable[Any]]
"""Applies a function to files and returns the results in the same order, as `map` does."""


class ManifestReader:
    """Reads one revision after another, without parsing unchanged files again. Not thread-safe.

    Documents are rendered for `environment` (None: without overlays); `all_environments` also checks them in every
    other one. If `is_whole` is False, the files are only a part of the repository, so an undeclared environment is not
    reported; if `is_rooted` is False, missing code files are not. `files` is a cache that several readers can share.
    `project_name` is the only one that `controller.yaml` may declare, None for any.
    `map_files` may read in other processes, unless another reader shares the cache. `is_stored` as for `build`; the
    results of what is not stored have no positions, unless a finding needs them.
    `parsed` counts the files that were not read from this reader's own cache, `built` the documents in them.
    `updates` counts the revisions whose state was made from the previous one and the changed files alone.
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
        self.parsed = self.built = self.updates = 0
        self._map_files = map_files
        self._load = load_file if files is None else files.load
        self._environment = environment
        self._all_environments = all_environments
        self._is_whole = is_whole
        self._is_rooted, self._is_stored = is_rooted, is_stored
        self._needs_places = is_stored
        self._project_file: ManifestFile | RefusedFile | None = None
        self._calendar_files: CalendarFiles | None = None
        self._project, self._project_name = Project(), project_name
        self._modules = ModuleCache() if files is None else files.modules
        self._given: Sequence[ManifestFile] | None = None
        self._files: dict[str, FileResult] = {}
        self._dependencies = CodeDependencies()
        self._unread: list[str] | None = []
        self._ignored: list[str] = []
        self._other_projects: list[str] = []
        self._state = self._combine({}, [])

    def reuse_results(self, reader: "ManifestReader", paths: Iterable[str]) -> None:
        """Start with another reader's results for these files, whose results in this environment do not matter."""
        self._project_file, self._project = reader._project_file, reader._project
        self._calendar_files = reader._calendar_files
        self._files = {path: reader._files[path] for path in paths if path in reader._files}
        self._dependencies = CodeDependencies(self._files.values())
        self._given = self._unread = None

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
            self._given, self._files, self._dependencies = None, {}, CodeDependencies()
            self._unread, self._other_projects = [], []
            self._state = self._combine({}, [])
        expected = self._dependencies.paths()
        options = BuildOptions(
            project=self._project,
            environment=self._environment,
            all_environments=self._all_environments,
            flows=None if code is None else Flows(code, self._modules, expected, is_whole=self._is_rooted),
            is_stored=self._is_stored,
        )
        given = tuple(files)
        state = self._read_manifests(given, now, options)
        if not self._needs_places and any(finding.code in _ACROSS_FILES for finding in state.findings):
            self._needs_places = True
            self._files, self._dependencies, self._given, self._unread = {}, CodeDependencies(), None, None
            state = self._read_manifests(given, now, options)
        return state

    def _read_manifests(self, given: Sequence[ManifestFile], now: datetime, options: BuildOptions) -> DesiredState:
        """Read those of these files that changed, and return the state: an update of the last one, if possible.

        If only the contents of manifests have changed since the last call, nothing is done for each of the others.
        """
        flows, outdated = options.flows, self._dependencies.find_outdated(options.flows)
        replaced = None if outdated or self._given is None else find_replaced(self._given, given)
        if replaced is None:
            files, unread = _divide(given)
            is_same = [file.path for file in files] == list(self._files)
        else:
            files, unread, is_same = [file for file in replaced if file.path in self._files], self._unread or [], True
        new = self._read_changed(files, outdated, now, options)
        is_known = is_same and self._unread is not None
        other_projects = self._other_projects if is_known else _other_projects([file.path for file in files])
        ignored = [] if flows is None else flows.existing_files(other_projects)
        is_same = is_same and (unread, ignored) == (self._unread, self._ignored)
        updated = (self._update(new) if new else self._state) if is_same else None
        if is_same:
            for path, result in new.items():
                self._dependencies.replace(self._files[path], result)
            self._files |= new
        else:
            self._files = {file.path: new.get(file.path) or self._files[file.path] for file in files}
            self._dependencies = CodeDependencies(self._files.values())
        self._given, self._unread, self._ignored, self._other_projects = given, unread, ignored, other_projects
        self._state = updated or self._combine(self._files, unread)
        return self._state

    def _read_changed(
        self, files: Sequence[ManifestFile], outdated: Collection[int], now: datetime, options: BuildOptions
    ) -> dict[str, FileResult]:
        """Return the results of those files that changed, by path and in order.

        `outdated` are the ids of the results' dependencies of which a file has changed.
        """
        known = self._files
        changed = [
            file
            for file in files
            if (result := known.get(file.path)) is None
            or result.digest != file.digest
            or id(result.dependencies) in outdated
        ]
        read: Callable[[ManifestFile], FileResult] = partial(read_file, load=self._load, now=now, options=options)
        if not self._needs_places:
            read = QuickReader(load_file_values, read, now, options).read
        results = list(self._map_files(read, changed))
        self.parsed += len(results)
        self.built += sum(len(result.documents) for result in results)
        return dict(zip((file.path for file in changed), results, strict=True))

    def _update(self, new: Mapping[str, FileResult]) -> DesiredState | None:
        """Return the state after these files changed; None if deployments in other files may change, too."""
        state = self._state
        if (
            self._project.is_broken
            or any(finding.code in _OF_MANY for finding in state.findings)
            or not all(is_alike(self._files[path], result) for path, result in new.items())
        ):
            return None
        self.updates += 1
        built = [each for result in new.values() for each in result.documents if each.is_enabled]
        deployments = {each.deployment.name: each.deployment for each in built if each.deployment is not None}
        places = {each.deployment.name: each.place for each in built if each.deployment is not None}
        python = {each.deployment.name: each.python for each in built if each.deployment and each.python}
        return replace(
            state,
            deployments=update_mapping(state.deployments, deployments),
            name_places=update_mapping(state.name_places, places),
            python_requests=update_mapping(state.python_requests, python),
        )

    def _combine(self, results: Mapping[str, FileResult], unread: list[str]) -> DesiredState:
        """Return the desired state, without deployments if the project is broken or the environment is undeclared."""
        project, state = self._project, self._combine_documents(results, unread)
        findings = [problem.finding(PROJECT_FILE, None) for problem in project.problems]
        findings += [_ignored_project(path) for path in self._ignored]
        shared = {id(result.environments): result.environments for result in results.values()}
        environments = frozenset(project.environments).union(*shared.values())
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

    def _combine_documents(self, results: Mapping[str, FileResult], unread: list[str]) -> DesiredState:
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


def _divide(given: Sequence[ManifestFile]) -> tuple[list[ManifestFile], list[str]]:
    """Return the manifests up to the limit, and the paths of the others. Python files without a spec are none."""
    modules = {id(file) for file in python_files(given) if not is_spec(file.path, file.content)}
    manifests = [file for file in given if id(file) not in modules] if modules else list(given)
    return manifests[:MAX_FILES], [file.path for file in manifests[MAX_FILES:]]


def _placed(results: Mapping[str, FileResult], environment: str | None) -> list[tuple[str, BuildResult]]:
    """Return the documents of all files in an environment, each with its file; None is the chosen environment."""
    return [
        (path, document)
        for path, result in results.items()
        for document in (
            result.documents if environment is None else result.variants.get(environment, result.documents)
        )
    ]


def _declared_names(results: Mapping[str, FileResult]) -> frozenset[str]:
    documents = (each.name for result in results.values() for each in result.documents if each.is_enabled)
    return frozenset(filter(None, (*documents, *(result.only_name for result in results.values()))))


def _path_clashes(results: Mapping[str, FileResult]) -> Iterator[Finding]:
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


def _other_projects(paths: Collection[str]) -> list[str]:
    """Return the paths of project files in the folders of these manifests and above, where they would be ignored."""
    folders = {path.rpartition("/")[0] for path in paths}
    above = {str(folder) for each in folders for folder in list(PurePosixPath(f"{each}/file").parents)[:-1]}
    return sorted({f"{folder}/{PROJECT_FILE}" for folder in above}.difference(paths))


def _ignored_project(path: str) -> Finding:
    message = f"this file is not read: only {PROJECT_FILE} at the root of the repository is"
    hint = f"move its settings to {PROJECT_FILE} at the root"
    place = Position(1, 1)
    problem = Problem(code="ProjectFileIgnored", message=message, place=place, hint=hint, severity=Severity.WARNING)
    return problem.finding(path, None)


def _too_many(path: str, count: int) -> Finding:
    message = f"{count} manifests; the limit is {MAX_FILES}: this file and all after it were not read"
    return Problem(code="TooManyFiles", message=message, place=Position(1, 1)).finding(path, None)
