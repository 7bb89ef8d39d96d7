"""Manifests as they are on disk, for the commands that look at files rather than at the state."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from controller.clock import SystemClock
from controller.errors import UsageError
from controller.manifests import DesiredState, ManifestReader
from controller.model.findings import Finding
from controller.model.snapshots import ManifestFile
from controller.settings import Location, enclosing_repository, is_git_repository
from controller.sources.directory import DirectorySource
from controller.sources.source import Source


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
    """What all of them declare together, on disk or at the location's ref. Raises SourceError."""
    return read(wanted, location).desired


def read(wanted: Iterable[Target], location: Location) -> Reading:
    """The same with the bytes of the files. Raises SourceError."""
    files: dict[Path, ManifestFile] = {}
    refused: list[Finding] = []
    for target in wanted:
        source = _source(target, location)
        snapshot = source.read(source.observe())
        files |= {target.root / file.path: file for file in snapshot.files}
        refused += [
            Finding(code="RefusedFile", message=refusal.message, file=refusal.path, line=1, column=1)
            for refusal in snapshot.refused
        ]
    desired = ManifestReader().read(files.values(), SystemClock().now())
    desired = replace(desired, findings=(*desired.findings, *refused), file_count=desired.file_count + len(refused))
    named = Counter(file.path for file in files.values())
    return Reading(desired, {file.path: file.content for file in files.values() if named[file.path] == 1})


def _source(target: Target, location: Location) -> Source:
    if location.ref is None:
        return DirectorySource(target.root, path=target.path, follow_links=not is_git_repository(target.root))
    from controller.sources.git import GitSource

    return GitSource(target.root, ref=location.ref, path=target.path, exports=location.state_dir / "exports")


def _root(full: Path, location: Location) -> Path:
    directory = full if full.is_dir() else full.parent
    found = enclosing_repository(directory)
    if (found / ".git").exists():
        return found
    if directory.is_relative_to(location.repo):
        return location.repo
    above = directory.parent if directory.name == Path(location.path).name else directory
    return above
