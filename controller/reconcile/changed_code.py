"""Finds the deployments whose code a commit changes. For `controller plan`; nothing is imported or executed.

The search begins with the changed files. Git lists the files that contain the name of a changed module. These are
parsed, and the search continues with those that import the module. Files that can't depend on a changed file are never
read.
"""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping

from controller import flow_analysis
from controller.model.deployments import Deployment, FlowTarget
from controller.model.snapshots import Code
from controller.records import dataclass
from controller.sources.source import Change, Source, printable

MAX_FILES = 2000
"""Maximum number of files that are parsed for one plan."""
MAX_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChange:
    """A deployment whose code changes, and the changed files among those that its run would load."""

    deployment: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file whose imports could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChanges:
    """The deployments whose code changes, sorted by name, and the files whose imports could not be read."""

    deployments: tuple[CodeChange, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """The file that a run starts, and the folders where Python looks for its modules; none for other kinds of files."""

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
    """Return the code changes from `base` to `head` for these deployments, as they are declared at `head`.

    `changed` are the files that differ; with None, because the source can't compare the two, the result is empty.
    Raises SourceError.
    """
    if not changed:
        return CodeChanges()
    entries = [(deployment.name, entry) for deployment in deployments for entry in _entries(deployment)]
    files = {entry.file for _, entry in entries}
    # Not through `code`, which reads ahead the files that it finds: hardly any of these will be read.
    after, before = source.code(head).find(files), source.code(base).find(files)
    # Git does not list a link as changed when its target changes.
    changed = dict(changed) | {file: Change.CHANGED for file in files if after.get(file) != before.get(file)}
    imports = _Imports(source, code, head, {entry for _, entry in entries})
    importing = imports.reaching({path for path in changed if path.endswith(".py")})
    changed_of: dict[str, set[str]] = {}
    for name, entry in entries:
        if entry.file in importing or entry.file in changed:
            changed_of.setdefault(name, set()).update(imports.loaded_files(entry, importing) & changed.keys())
    return CodeChanges(
        deployments=tuple(
            CodeChange(deployment=name, files=tuple(printable(file) for file in sorted(files)[:MAX_SHOWN]))
            for name, files in sorted(changed_of.items())
            if files
        ),
        unread=tuple(imports.unread()),
    )


def _entries(deployment: Deployment) -> Iterator[_Entry]:
    """Yield the file of a flow, or for a command each argument that may name a file of the repository."""
    target = deployment.target
    if isinstance(target, FlowTarget):
        folders = (*deployment.import_paths, "")
        if target.module is not None:
            for path in flow_analysis.module_paths(target.module, folders):
                yield _Entry(path, folders)
            return
        path = posixpath.normpath(target.path)
        yield _Entry(path, (*folders, posixpath.dirname(path)))
        return
    for argument in target.argv:
        for text in dict.fromkeys((argument, argument.partition("=")[2])):
            path = posixpath.normpath(posixpath.join(deployment.working_directory, text))
            if text and "\0" not in text and not path.startswith(("/", "..")):
                yield _Entry(path, (posixpath.dirname(path),) if path.endswith(".py") else ())


class _Imports:
    """The imports of files of one revision, parsed as needed."""

    def __init__(self, source: Source, code: Code, revision: str, entries: Collection[_Entry]) -> None:
        self._source = source
        self._code = code
        self._revision = revision
        self._folders = tuple(dict.fromkeys(folder for entry in entries for folder in entry.folders))
        self._entry_files = {entry.file for entry in entries if entry.folders}
        self._imports: dict[str, frozenset[flow_analysis.Import]] = {}
        self._problems: dict[str, str] = {}
        self._existence: dict[str, bool] = {}

    def reaching(self, changed: Collection[str]) -> set[str]:
        """Return `changed` and the files that import one of these, directly or indirectly; possibly some more."""
        reached, new = set(changed), set(changed)
        while new:
            words = {flow_analysis.module_name(path) for path in new}
            named = self._source.files_with_words(self._revision, words)
            packages = {posixpath.dirname(path) for path in new if posixpath.basename(path) == "__init__.py"}
            beside = [file for file in self._entry_files if posixpath.dirname(file) in packages]
            candidates = [path for path in dict.fromkeys((*named, *beside)) if path not in reached]
            self._parse(candidates)
            new = {path for path in candidates if self._may_load(path, self._folders) & reached}
            reached |= new
        return reached

    def loaded_files(self, entry: _Entry, within: Collection[str]) -> set[str]:
        """Return the file of `entry`, and the files among `within` that are loaded when a run starts it."""
        loaded, pending = {entry.file}, [entry.file] if entry.folders else []
        while pending:
            file = pending.pop()
            self._parse([file])
            for statement in self._imports.get(file, ()):
                groups = list(flow_analysis.candidates(statement, file, entry.folders))
                new = self._imported_files(groups, within) - loaded
                loaded |= new
                pending += new
        return loaded

    def _imported_files(self, groups: list[list[str]], within: Collection[str]) -> set[str]:
        """Return the files among `within` that an import loads: those of the first folder that has the module."""
        for index, group in enumerate(groups):
            later = (path for later_group in groups[index + 1 :] for path in later_group)
            imported = {path for path in group if path in within}
            if imported or not any(path in within for path in later) or any(map(self._exists, group)):
                return imported
        return set()

    def unread(self) -> Iterator[Unread]:
        """Yield the files that could not be parsed, at most `MAX_SHOWN`."""
        for file, reason in sorted(self._problems.items())[:MAX_SHOWN]:
            yield Unread(file=printable(file), reason=reason)

    def _may_load(self, file: str, folders: Iterable[str]) -> set[str]:
        imports = self._imports.get(file, ())
        return {
            path
            for statement in imports
            for group in flow_analysis.candidates(statement, file, folders)
            for path in group
        }

    def _exists(self, path: str) -> bool:
        if path not in self._existence:
            self._existence[path] = path in self._code.find([path])
        return self._existence[path]

    def _parse(self, paths: Iterable[str]) -> None:
        missing = [path for path in paths if path not in self._imports]
        files: Mapping[str, object] = self._code.find(missing) if missing else {}
        if len(files) > 1:
            self._code.read_ahead(files)
        for path in missing:
            self._imports[path] = frozenset()
            if path not in files:
                continue  # the file was removed, or is a broken link
            problem = self._read(path)
            if problem is not None:
                self._problems[path] = problem

    def _read(self, path: str) -> str | None:
        """Parse the file; return the reason if that is not possible."""
        if len(self._imports) > MAX_FILES:
            return f"the limit of {MAX_FILES} files per plan is reached"
        file = self._code.find([path])[path]
        if file.refusal or file.size > flow_analysis.MAX_BYTES:
            return file.refusal or f"the file has {file.size} bytes; the limit is {flow_analysis.MAX_BYTES}"
        try:
            self._imports[path] = flow_analysis.read_imports(self._code.read(path))
        except ValueError as error:
            return str(error)
        return None
