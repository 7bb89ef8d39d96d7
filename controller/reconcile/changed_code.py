"""Which deployments run code that a commit changes? For `controller plan`; nothing is imported or executed.

The search begins with the changed files. Git names the files in which the name of a changed module occurs; these are
parsed, and those that import the module are followed in turn. Files that depend on no changed file are never read.
"""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller import flow_analysis
from controller.model.deployments import Deployment, FlowTarget
from controller.model.snapshots import Code
from controller.sources.source import Change, Source, printable

MOST_FILES = 2000
"""Files that are parsed for one plan."""
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChange:
    """A deployment whose code changes: `files` are the changed ones among those that its run would load."""

    deployment: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file whose imports could not be followed, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChanges:
    """The deployments whose code changes, by name, and the files that could not be read."""

    deployments: tuple[CodeChange, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a run begins: a file, and the folders in which it looks for modules; none for what is not Python."""

    file: str
    folders: tuple[str, ...]


def code_changes(
    source: Source,
    code: Code,
    changed: Mapping[str, Change] | None,
    *,
    head: str,
    base: str,
    deployments: Iterable[Deployment],
) -> CodeChanges:
    """What changes from `base` to `head` of the code of these deployments, as they are at `head`.

    `changed` are the files that differ; None where the source can't compare the two, and nothing is said. Raises
    SourceError.
    """
    if not changed:
        return CodeChanges()
    entries = [(one.name, entry) for one in deployments for entry in _entries(one)]
    files = {entry.file for _, entry in entries}
    # Not through `code`, which reads ahead of what it finds: nearly none of these files will be read.
    after, before = source.code(head).find(files), source.code(base).find(files)
    # A link to a changed file is no changed file of git's.
    changed = dict(changed) | {file: Change.CHANGED for file in files if after.get(file) != before.get(file)}
    imports = _Imports(source, code, head, {entry for _, entry in entries})
    importing = imports.reaching({path for path in changed if path.endswith(".py")})
    found: dict[str, set[str]] = {}
    for name, entry in entries:
        if entry.file in importing or entry.file in changed:
            found.setdefault(name, set()).update(imports.loaded(entry, importing) & changed.keys())
    return CodeChanges(
        deployments=tuple(
            CodeChange(deployment=name, files=tuple(printable(file) for file in sorted(files)[:MOST_SHOWN]))
            for name, files in sorted(found.items())
            if files
        ),
        unread=tuple(imports.unread()),
    )


def _entries(deployment: Deployment) -> Iterator[_Entry]:
    """The file of the flow; of a command every argument that may name a file of the repository."""
    target = deployment.target
    if isinstance(target, FlowTarget):
        path = posixpath.normpath(target.path)
        yield _Entry(path, ("", posixpath.dirname(path)))
        return
    for argument in target.argv:
        for text in dict.fromkeys((argument, argument.partition("=")[2])):
            path = posixpath.normpath(posixpath.join(deployment.working_directory, text))
            if text and "\0" not in text and not path.startswith(("/", "..")):
                yield _Entry(path, (posixpath.dirname(path),) if path.endswith(".py") else ())


class _Imports:
    """The imports of the files that were parsed, at one revision."""

    def __init__(self, source: Source, code: Code, revision: str, entries: Collection[_Entry]) -> None:
        self._source = source
        self._code = code
        self._revision = revision
        self._folders = tuple(dict.fromkeys(folder for entry in entries for folder in entry.folders))
        self._entry_files = {entry.file for entry in entries if entry.folders}
        self._known: dict[str, frozenset[flow_analysis.Import]] = {}
        self._problems: dict[str, str] = {}
        self._is_there: dict[str, bool] = {}

    def reaching(self, changed: Collection[str]) -> set[str]:
        """The files that import one of the `changed` ones, directly or not, with those; perhaps too many."""
        reached, new = set(changed), set(changed)
        while new:
            words = {flow_analysis.module_name(path) for path in new}
            named = self._source.files_with_words(self._revision, words)
            packages = {posixpath.dirname(path) for path in new if posixpath.basename(path) == "__init__.py"}
            beside = [file for file in self._entry_files if posixpath.dirname(file) in packages]
            wanted = [path for path in dict.fromkeys((*named, *beside)) if path not in reached]
            self._parse(wanted)
            new = {path for path in wanted if self._may_load(path, self._folders) & reached}
            reached |= new
        return reached

    def loaded(self, entry: _Entry, within: Collection[str]) -> set[str]:
        """The files among `within` that are loaded when the run begins at this file, with it."""
        found, waiting = {entry.file}, [entry.file] if entry.folders else []
        while waiting:
            file = waiting.pop()
            self._parse([file])
            for one in self._known.get(file, ()):
                new = self._imported(list(flow_analysis.candidates(one, file, entry.folders)), within) - found
                found |= new
                waiting += new
        return found

    def _imported(self, groups: list[list[str]], within: Collection[str]) -> set[str]:
        """The files among `within` that an import loads: those of the first folder that has it."""
        for index, group in enumerate(groups):
            later = (path for other in groups[index + 1 :] for path in other)
            found = {path for path in group if path in within}
            if found or not any(path in within for path in later) or any(map(self._exists, group)):
                return found
        return set()

    def unread(self) -> Iterator[Unread]:
        """The files that could not be parsed."""
        for file, reason in sorted(self._problems.items())[:MOST_SHOWN]:
            yield Unread(file=printable(file), reason=reason)

    def _may_load(self, file: str, folders: Iterable[str]) -> set[str]:
        groups = (flow_analysis.candidates(one, file, folders) for one in self._known.get(file, ()))
        return {path for group in groups for paths in group for path in paths}

    def _exists(self, path: str) -> bool:
        if path not in self._is_there:
            self._is_there[path] = path in self._code.find([path])
        return self._is_there[path]

    def _parse(self, paths: Iterable[str]) -> None:
        wanted = [path for path in paths if path not in self._known]
        found: Mapping[str, object] = self._code.find(wanted) if wanted else {}
        if len(found) > 1:
            self._code.read_ahead(found)
        for path in wanted:
            self._known[path] = frozenset()
            if path not in found:
                continue  # it was removed, or is a link that leads nowhere
            reason = self._read(path)
            if reason is not None:
                self._problems[path] = reason

    def _read(self, path: str) -> str | None:
        """Parse the file; why it could not be."""
        if len(self._known) > MOST_FILES:
            return f"more than {MOST_FILES} files would have to be read"
        file = self._code.find([path])[path]
        if file.refusal or file.size > flow_analysis.MAX_BYTES:
            return file.refusal or f"it has {file.size} bytes, and at most {flow_analysis.MAX_BYTES} are read"
        try:
            self._known[path] = flow_analysis.read_imports(self._code.read(path))
        except ValueError as error:
            return str(error)
        return None
