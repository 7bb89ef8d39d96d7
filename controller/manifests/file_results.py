"""The result for one version of one manifest on its own. `reader` calls `read_file` for each changed file. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from controller.manifests.build import BuildResult
from controller.manifests.document_findings import differs
from controller.manifests.overlays import BuildOptions, build_in_environments, declared_environments
from controller.manifests.rendered_specs import NOT_RENDERED
from controller.manifests.yaml.loader import Loaded
from controller.manifests.yaml.nodes import Position, Problem
from controller.model.findings import Finding, Severity, by_place
from controller.model.shared_values import share
from controller.model.snapshots import ManifestFile
from controller.records import dataclass

MAX_FINDINGS_PER_FILE = 200
MAX_PER_FILE = 10_000
"""Limit for the deployments that the matrices of one file declare together."""
_MOST_REPEATED = 10
_NO_VARIANTS: Mapping[str, tuple[BuildResult, ...]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """The result for one version of one file on its own.

    `variants` has the documents by environment, for those environments in which they declare or refer to other names.
    `dependencies` has the digests of the code files that the file was checked against. `unclear` says why the file may
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


def read_file(
    file: ManifestFile, load: Callable[[ManifestFile], Loaded], now: datetime, options: BuildOptions
) -> FileResult:
    """Return the result of a file that `load` parses. Raises SourceError if the code of the flows can't be read."""
    return _result(file, load(file), now, options)


class QuickReader:
    """Reads files without positions, and those that have findings once more with positions, by `read_file`.

    The results of files without findings have no positions. Where many files have findings, it soon reads only once.
    """

    def __init__(
        self,
        load_values: Callable[[ManifestFile], Loaded | None],
        read: Callable[[ManifestFile], FileResult],
        now: datetime,
        options: BuildOptions,
    ) -> None:
        self._load_values, self._read = load_values, read
        self._now, self._options = now, options
        self._quick = self._repeated = 0

    def read(self, file: ManifestFile) -> FileResult:
        """Return the result of a file. Raises SourceError if the code of the flows can't be read."""
        if self._repeated <= _MOST_REPEATED + self._quick // 4:
            loaded = self._load_values(file)
            result = None if loaded is None else _result(file, loaded, self._now, self._options)
            if result is not None and not result.findings:
                self._quick += 1
                return result
            self._repeated += 1
        return self._read(file)


def _result(file: ManifestFile, loaded: Loaded, now: datetime, options: BuildOptions) -> FileResult:
    flows = options.flows
    documents, variants = _build_documents(loaded, file.path, now, options)
    findings = tuple(_findings(file.path, loaded, documents))
    return FileResult(
        digest=file.digest,
        documents=documents,
        variants=variants or _NO_VARIANTS,
        findings=findings,
        environments=share(frozenset(name for each in loaded.documents for name in declared_environments(each.root))),
        is_broken=any(finding.severity is Severity.ERROR or finding.code == NOT_RENDERED for finding in findings),
        only_name=loaded.only_name,
        unclear=_unclear_reason(loaded, documents),
        dependencies=_shared_mapping({} if flows is None else flows.take_dependencies()),
    )


def is_alike(old: FileResult, new: FileResult) -> bool:
    """Return whether a file has the same findings and relates to other files in the same way in both versions.

    If so, it declares the same names, and its deployments differ only in what concerns no other file. The answer is
    valid only while no finding concerns several documents, because such a finding contains lines of other files.
    """
    return (
        (old.findings, old.environments, old.is_broken, old.only_name, old.unclear)
        == (new.findings, new.environments, new.is_broken, new.only_name, new.unclear)
        and old.variants.keys() == new.variants.keys()
        and list(map(_names, old.documents)) == list(map(_names, new.documents))
        and all(
            list(map(_names, documents)) == list(map(_names, new.variants[environment]))
            for environment, documents in old.variants.items()
        )
    )


def _names(document: BuildResult) -> object:
    """Return the names that a document declares and refers to, and whether it has a deployment and an environment."""
    return (
        (document.name, document.identity, document.is_enabled, document.renamed_from),
        [upstream.name for upstream in document.upstreams],
        [name for name, _, _ in document.webhooks],
        (document.deployment is None, document.python is None),
    )


def _shared_mapping(digests: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Return one mapping for all files that were checked against the same versions of the same code files."""
    return share(digests, tuple(digests.items()))


def _build_documents(
    loaded: Loaded, file: str, now: datetime, options: BuildOptions
) -> tuple[tuple[BuildResult, ...], Mapping[str, tuple[BuildResult, ...]]]:
    """Build the documents of a file, with those that matrices declare, up to the limit for them.

    Also returns the documents for each environment in which they declare or refer to other names.
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
