"""Reads manifests from disk or from a ref, for the commands that work on files rather than on the state."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from controller.cli.parallel_map import count_processes, parallel_map
from controller.clock import SystemClock
from controller.errors import NotFoundError, UsageError, unknown_deployment
from controller.git_directory import is_git_repository
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.rendered_specs import unexecuted_specs
from controller.model.findings import Finding, by_place, refusal_finding
from controller.model.snapshots import PROJECT_FILE, ManifestFile, Snapshot
from controller.records import dataclass
from controller.settings import Location, enclosing_repository
from controller.sources.directory.source import DirectorySource
from controller.sources.source import Source
from controller.text import closest

Render = Callable[[Source], Source]


@dataclass(frozen=True, slots=True)
class Target:
    """A directory or file to read: the root of its repository, and the path relative to it, with `/`."""

    root: Path
    path: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The desired state, and the contents of its files by path, without paths that occur below more than one root."""

    desired: DesiredState
    contents: Mapping[str, bytes]


def resolve_targets(arguments: Iterable[Path], location: Location) -> Iterator[Target]:
    """Yield the target of each path on the command line; a repository root stands for its deployments path."""
    for argument in arguments:
        full = argument.absolute()
        if not full.exists():
            raise UsageError(f"There is no file or directory {argument}.")
        full = _resolve(full)
        if location.path and (full / location.path).is_dir():
            full = full / location.path
        root = _root(full, location)
        yield Target(root, full.relative_to(root).as_posix().removeprefix("."))


def _resolve(full: Path) -> Path:
    """Follow symbolic links, except one to a file in a git repository: as in a commit, it is a finding of its own."""
    directory = full.parent.resolve()
    is_kept = full.is_symlink() and full.is_file() and (enclosing_repository(directory) / ".git").exists()
    return directory / full.name if is_kept else full.resolve()


def read_desired_state(selected: Iterable[Target], location: Location) -> DesiredState:
    """Return the desired state of all targets, on disk or at the location's ref. Raises SourceError, UsageError."""
    return read_manifests(selected, location).desired


def read_manifests(
    selected: Iterable[Target],
    location: Location,
    *,
    is_whole: bool = True,
    all_environments: bool = False,
    render: Render | None = None,
    processes: int | None = None,
    is_stored: bool = True,
) -> Reading:
    """Return the desired state of all targets and the contents of their files. Raises SourceError, UsageError.

    `is_whole` is False if the targets are only some of the files of a repository. `render` executes Python specs and
    replaces them with the documents they declare; None leaves them unrendered. `processes` is their number for each
    root; None for as many as the files and the processor suggest. If `is_stored` is False, the deployments have only
    what findings need.
    """
    targets_of: dict[Path, list[Target]] = {}
    for target in selected:
        targets_of.setdefault(target.root, []).append(target)
    reader = partial(
        _read_root,
        location=location,
        is_whole=is_whole,
        all_environments=all_environments,
        render=render,
        processes=processes,
        is_stored=is_stored,
    )
    readings = [reader(root, below) for root, below in targets_of.items()]
    counts = Counter(path for reading in readings for path in reading.contents)
    return Reading(
        _merge([reading.desired for reading in readings]),
        {path: text for reading in readings for path, text in reading.contents.items() if counts[path] == 1},
    )


def unknown_name(name: str, desired: DesiredState) -> NotFoundError:
    """Return the error for a name that no manifest declares. Its hint names a Python spec that was not executed."""
    error = unknown_deployment(name, desired.declared_names)
    spec = min(unexecuted_specs(desired.findings), default=None)
    if spec is None or closest(name, desired.declared_names):
        return error
    hint = f"{spec} was not executed: `controller execute` and `controller validate` do that with --render-python."
    return NotFoundError(error.message, hint=hint)


def _read_root(
    root: Path,
    selected: Iterable[Target],
    *,
    location: Location,
    is_whole: bool,
    all_environments: bool,
    render: Render | None,
    processes: int | None,
    is_stored: bool,
) -> Reading:
    """Read the targets below one root, with the project file of that root."""
    sources = [_source(target, location) for target in selected]
    originals = [source.read(source.observe()) for source in sources]
    snapshots = originals
    if render is not None:
        snapshots = [
            render(source).read(original.revision) for source, original in zip(sources, originals, strict=True)
        ]
    code = sources[0].code(snapshots[0].revision)
    files = {file.path: file for snapshot in snapshots for file in snapshot.files}
    refused = {refusal.path: refusal for snapshot in snapshots for refusal in snapshot.refused}
    project = next(snapshot.project for snapshot in snapshots)
    if sources[0].is_pinned:  # forks would share the processes of git that read the code
        processes = 1
    elif processes is None:
        processes = count_processes(len(files))
    reader = ManifestReader(
        location.environment,
        all_environments=all_environments,
        is_whole=is_whole,
        is_rooted=is_whole or _is_root(root, location),
        map_files=map if processes == 1 else partial(parallel_map, processes=processes),
        is_stored=is_stored,
    )
    desired = reader.read(files.values(), SystemClock().now(), project, code)
    desired.check_environment()
    if not is_whole and location.environment not in (None, *desired.environments):
        _check_whole(root, location)
    findings = sorted((*_deduplicate(desired.findings), *map(refusal_finding, refused.values())), key=by_place)
    contents = {file.path: file.content for snapshot in originals for file in snapshot.files}
    if isinstance(project, ManifestFile):
        contents[project.path] = project.content
    count = desired.file_count + len(refused)
    return Reading(replace(desired, findings=tuple(findings), file_count=count), contents)


def _deduplicate(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Keep one of equal findings: an error in the defaults occurs in all deployments, but is reported once for none."""
    unique: dict[Finding, Finding] = {}
    for finding in findings:
        general = replace(finding, deployment=None)
        unique[general] = general if general in unique else finding
    return unique.values()


def _is_root(root: Path, location: Location) -> bool:
    """Whether this is certainly the root of a repository, and not just a guess from the path of a file."""
    return is_git_repository(root) or (root / PROJECT_FILE).exists() or (root / location.path).is_dir()


def _check_whole(root: Path, location: Location) -> None:
    """Raise UsageError if no other file of the repository declares the environment either."""
    path = location.path if (root / location.path).is_dir() else PROJECT_FILE
    source = _source(Target(root, path), location)
    snapshot = source.read(source.observe()) if (root / path).exists() else Snapshot(revision="", files=())
    reader = ManifestReader(location.environment)
    reader.read(snapshot.files, SystemClock().now(), snapshot.project).check_environment()


def _merge(states: list[DesiredState]) -> DesiredState:
    if len(states) == 1:
        return states[0]
    return DesiredState(
        deployments={name: deployment for state in states for name, deployment in state.deployments.items()},
        findings=tuple(finding for state in states for finding in state.findings),
        broken_files=frozenset().union(*(state.broken_files for state in states)),
        declared_names=frozenset().union(*(state.declared_names for state in states)),
        disabled=frozenset().union(*(state.disabled for state in states)),
        environments=frozenset().union(*(state.environments for state in states)),
        python_requests={name: request for state in states for name, request in state.python_requests.items()},
        file_count=sum(state.file_count for state in states),
        document_count=sum(state.document_count for state in states),
    )


def _source(target: Target, location: Location) -> Source:
    if location.ref is None and not is_bare(target.root):
        return DirectorySource(target.root, path=target.path, follow_links=not is_git_repository(target.root))
    from controller.sources.git import GitSource

    return GitSource(target.root, ref=location.ref, path=target.path, exports=location.state_dir / "exports")


def is_bare(root: Path) -> bool:
    """Whether this is a bare repository, which has no files on disk; its branch is read instead."""
    return is_git_repository(root) and not (root / ".git").exists()


def _root(full: Path, location: Location) -> Path:
    directory = full if full.is_dir() else full.parent
    repository = enclosing_repository(directory)
    if (repository / ".git").exists():
        return repository
    if isinstance(location.repo, Path) and directory.is_relative_to(location.repo):
        return location.repo
    return directory.parent if directory.name == Path(location.path).name else directory
