"""Manifests as they are on disk, for the commands that look at files rather than at the state."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from controller.clock import SystemClock
from controller.errors import UsageError
from controller.manifests import DesiredState, ManifestReader
from controller.model.findings import Finding, by_place, refusal_finding
from controller.model.snapshots import PROJECT_FILE, ManifestFile, Snapshot
from controller.settings import Location, enclosing_repository, is_git_repository
from controller.sources.directory.source import DirectorySource
from controller.sources.source import Source

Render = Callable[[Source], Source]


@dataclass(frozen=True, slots=True)
class Target:
    """A directory or file to read: a repository's root, and the path below it with `/`."""

    root: Path
    path: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What is declared, and the bytes that said so by the path that findings name, where no two roots share it."""

    desired: DesiredState
    contents: Mapping[str, bytes]


def targets(arguments: Iterable[Path], location: Location) -> Iterator[Target]:
    """What each path on the command line means; the top of a repository means its deployments path."""
    for given in arguments:
        full = given.absolute()
        if not full.exists():
            raise UsageError(f"There is no file or directory {given}.")
        full = full.resolve()
        if location.path and (full / location.path).is_dir():
            full = full / location.path
        root = _root(full, location)
        yield Target(root, full.relative_to(root).as_posix().removeprefix("."))


def read_targets(wanted: Iterable[Target], location: Location) -> DesiredState:
    """What all of them declare together, on disk or at the location's ref. Raises SourceError, UsageError."""
    return read(wanted, location).desired


def read(
    wanted: Iterable[Target],
    location: Location,
    *,
    is_whole: bool = True,
    all_environments: bool = False,
    render: Render | None = None,
) -> Reading:
    """The same with the bytes of the files; `is_whole` False if they are only some of a repository's.

    `render` puts documents in place of Python specs, by executing them; None leaves them alone.
    """
    targets_of: dict[Path, list[Target]] = {}
    for target in wanted:
        targets_of.setdefault(target.root, []).append(target)
    reader = partial(_read_root, location=location, is_whole=is_whole, all_environments=all_environments, render=render)
    readings = [reader(root, found) for root, found in targets_of.items()]
    named = Counter(path for reading in readings for path in reading.contents)
    return Reading(
        _together([reading.desired for reading in readings]),
        {path: text for reading in readings for path, text in reading.contents.items() if named[path] == 1},
    )


def _read_root(
    root: Path,
    wanted: Iterable[Target],
    *,
    location: Location,
    is_whole: bool,
    all_environments: bool,
    render: Render | None,
) -> Reading:
    """What the targets below one root declare, under its project."""
    sources = [_source(target, location) for target in wanted]
    written = [source.read(source.observe()) for source in sources]
    snapshots = written
    if render is not None:
        snapshots = [render(source).read(one.revision) for source, one in zip(sources, written, strict=True)]
    code = sources[0].code(snapshots[0].revision)
    files = {file.path: file for snapshot in snapshots for file in snapshot.files}
    refused = {refusal.path: refusal for snapshot in snapshots for refusal in snapshot.refused}
    project = next(snapshot.project for snapshot in snapshots)
    reader = ManifestReader(
        location.environment,
        all_environments=all_environments,
        is_whole=is_whole,
        is_rooted=is_whole or _is_root(root, location),
    )
    desired = reader.read(files.values(), SystemClock().now(), project, code)
    desired.check_environment()
    if not is_whole and location.environment not in (None, *desired.environments):
        _check_whole(root, location)
    findings = sorted((*_once(desired.findings), *map(refusal_finding, refused.values())), key=by_place)
    contents = {file.path: file.content for snapshot in written for file in snapshot.files}
    if isinstance(project, ManifestFile):
        contents[project.path] = project.content
    count = desired.file_count + len(refused)
    return Reading(replace(desired, findings=tuple(findings), file_count=count), contents)


def _once(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Each fault once, of no deployment where it is of several: one in the defaults is found in all that get them."""
    found: dict[Finding, Finding] = {}
    for finding in findings:
        anybody = replace(finding, deployment=None)
        found[anybody] = anybody if anybody in found else finding
    return found.values()


def _is_root(root: Path, location: Location) -> bool:
    """Whether this is the root of a repository for certain, and not only the best guess for a file somewhere."""
    return is_git_repository(root) or (root / PROJECT_FILE).exists() or (root / location.path).is_dir()


def _check_whole(root: Path, location: Location) -> None:
    """Whether anything else of the repository declares the environment. Raises UsageError."""
    path = location.path if (root / location.path).is_dir() else PROJECT_FILE
    source = _source(Target(root, path), location)
    snapshot = source.read(source.observe()) if (root / path).exists() else Snapshot(revision="", files=())
    reader = ManifestReader(location.environment)
    reader.read(snapshot.files, SystemClock().now(), snapshot.project).check_environment()


def _together(states: list[DesiredState]) -> DesiredState:
    if len(states) == 1:
        return states[0]
    return DesiredState(
        deployments={name: found for state in states for name, found in state.deployments.items()},
        findings=tuple(finding for state in states for finding in state.findings),
        broken_files=frozenset().union(*(state.broken_files for state in states)),
        declared_names=frozenset().union(*(state.declared_names for state in states)),
        environments=frozenset().union(*(state.environments for state in states)),
        file_count=sum(state.file_count for state in states),
        document_count=sum(state.document_count for state in states),
    )


def _source(target: Target, location: Location) -> Source:
    if location.ref is None and not _is_bare(target.root):
        return DirectorySource(target.root, path=target.path, follow_links=not is_git_repository(target.root))
    from controller.sources.git import GitSource

    return GitSource(target.root, ref=location.ref, path=target.path, exports=location.state_dir / "exports")


def _is_bare(root: Path) -> bool:
    """Whether this is a repository without files on disk: then its branch is read."""
    return is_git_repository(root) and not (root / ".git").exists()


def _root(full: Path, location: Location) -> Path:
    directory = full if full.is_dir() else full.parent
    found = enclosing_repository(directory)
    if (found / ".git").exists():
        return found
    if isinstance(location.repo, Path) and directory.is_relative_to(location.repo):
        return location.repo
    above = directory.parent if directory.name == Path(location.path).name else directory
    return above
