"""A local git repository, followed at its committed state and never written to. The only module that knows GitPython.

Every look opens a short-lived `Repo` (GitPython leaks in long-lived ones) and runs only plumbing commands, with a
hardened environment and validated arguments: nothing that the repository's own configuration says is executed.
Manifests are read from the object database, never from a checkout that may move under us.
"""

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import git

from controller.errors import SourceError
from controller.model.snapshots import PROJECT_FILE, ManifestFile, RefusedFile, Snapshot, is_manifest
from controller.sources.exports import Entry, Exports, Kind
from controller.sources.source import MAX_MANIFEST_BYTES, Watched, is_text, visible

_HARDENED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": "/dev/null",
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
}
_MODES = {"100644": Kind.FILE, "100664": Kind.FILE, "100755": Kind.EXECUTABLE, "120000": Kind.LINK}
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]*")
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class _TreeEntry:
    mode: str
    kind: str
    object_id: str
    size: int
    path: str


class GitSource:
    """One ref of one local repository: `ref` is a branch, a tag or a commit; None is the checked-out branch."""

    is_pinned = True

    def __init__(self, repo: Path, *, ref: str | None, path: str, exports: Path) -> None:
        if ref is not None and (not _REF.fullmatch(ref) or ".." in ref or "@{" in ref):
            raise SourceError(f"--ref {ref!r} is not the name of a branch, a tag or a commit.")
        self._repo = repo
        self._ref = ref
        self._path = path
        self._exports = Exports(exports)
        self._blobs: dict[str, ManifestFile] = {}

    def observe(self) -> str:
        """`main@sha1:<commit>` for a branch or tag, `sha1:<commit>` for a commit or a detached HEAD."""
        with self._open() as repo:
            label, commit = self._head(repo) if self._ref is None else self._resolve(repo, self._ref)
        algorithm = "sha1" if len(commit) == 40 else "sha256"
        return f"{label}@{algorithm}:{commit}" if label else f"{algorithm}:{commit}"

    def read(self, revision: str) -> Snapshot:
        """The manifests below the deployments path, and the project; only blobs not seen at the last look are read."""
        with self._open() as repo:
            commit = commit_of(revision)
            found = list(self._tree(repo, commit, *((self._path, PROJECT_FILE) if self._path else ())))
            entries = [entry for entry in found if self._is_wanted(entry.path) and is_manifest(entry.path)]
            if not entries:
                self._check_path(repo, commit)
            judged = [(entry, _refusal(entry)) for entry in entries]
            refused = tuple(refusal for _, refusal in judged if refusal is not None)
            files = tuple(self._manifest(repo, entry) for entry, refusal in judged if refusal is None)
            project = self._project(repo, found)
        self._blobs = {file.path: file for file in (*files, project) if isinstance(file, ManifestFile)}
        return Snapshot(revision=revision, files=files, refused=refused, project=project)

    def read_file(self, revision: str, path: str) -> bytes:
        """The content of a regular file of this commit; from its export, if there is one, whatever git has kept."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            with contextlib.suppress(OSError):
                return self._exports.read(commit, path)
        with self._open() as repo:
            found = [entry for entry in self._tree(repo, commit, path) if entry.path == path]
            if not found or _MODES.get(found[0].mode) not in (Kind.FILE, Kind.EXECUTABLE):
                raise SourceError(f"{path} is not a regular file at {revision}.")
            return _content(repo, found[0].object_id)

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """The project of this commit; from its export, if there is one, whatever git has kept."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            try:
                content = self._exports.read(commit, PROJECT_FILE)
            except FileNotFoundError:
                return None
            return ManifestFile(path=PROJECT_FILE, content=content, digest=commit)
        with self._open() as repo:
            return self._project(repo, self._tree(repo, commit, PROJECT_FILE))

    def checkout(self, revision: str) -> Path:
        """An immutable export of the commit, written once."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            return self._exports.root(commit)
        with self._open() as repo:
            entries = (
                Entry(path=entry.path, kind=_MODES[entry.mode], content=_content(repo, entry.object_id))
                for entry in self._tree(repo, commit)
                if entry.mode in _MODES
            )
            return self._exports.write(commit, entries)

    def has_checkout(self, revision: str) -> bool:
        """Whether the export is there."""
        return self._exports.has(commit_of(revision))

    def collect(self, keep: Collection[str]) -> None:
        """Remove the exports of all other commits."""
        self._exports.collect({commit_of(revision) for revision in keep})

    def watched(self) -> tuple[Watched, ...]:
        """Where git writes when a ref or HEAD moves."""
        with self._open() as repo:
            own, common = Path(repo.git_dir), Path(repo.common_dir)
        places = [Watched(path=own, recursive=False), Watched(path=common / "refs", recursive=True)]
        if common != own:
            places.append(Watched(path=common, recursive=False))
        return tuple(places)

    @contextmanager
    def _open(self) -> Iterator[git.Repo]:
        try:
            with git.Repo(self._repo, expand_vars=False) as repo:
                git_dir = Path(repo.git_dir).absolute()
                with repo.git.custom_environment(**_HARDENED, GIT_DIR=str(git_dir)):
                    yield repo
        except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
            raise SourceError(f"{self._repo} is not a readable git repository.") from error
        except (git.GitCommandError, git.GitCommandNotFound, OSError, ValueError) as error:
            raise SourceError(f"git could not read {self._repo}: {_reason(error)}.") from error

    def _head(self, repo: git.Repo) -> tuple[str, str]:
        try:
            commit, name = _run(repo, "rev-parse", "HEAD", "--symbolic-full-name", "HEAD").split()
        except git.GitCommandError as error:
            raise SourceError(
                f"The checked-out branch of {self._repo} has no commit yet.", hint="Commit a deployment."
            ) from error
        return ("" if name == "HEAD" else name.removeprefix("refs/heads/")), commit

    def _resolve(self, repo: git.Repo, ref: str) -> tuple[str, str]:
        for label, name in ((ref, f"refs/heads/{ref}"), (ref, f"refs/tags/{ref}"), ("", ref)):
            if name == ref and not re.fullmatch(r"[0-9a-f]{7,64}", ref):
                continue
            try:
                commit = _run(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            except git.GitCommandError:
                continue
            return label, commit.strip()
        raise SourceError(
            f"{self._repo} has no branch, tag or commit {ref}.", hint="Check --ref; see `git branch` and `git tag`."
        )

    def _project(self, repo: git.Repo, entries: Iterable[_TreeEntry]) -> ManifestFile | RefusedFile | None:
        found = next((entry for entry in entries if entry.path == PROJECT_FILE), None)
        if found is None:
            return None
        return _refusal(found) or self._manifest(repo, found)

    def _is_wanted(self, path: str) -> bool:
        below = not self._path or path == self._path or path.startswith(f"{self._path}/")
        return below and path != PROJECT_FILE

    def _tree(self, repo: git.Repo, commit: str, *paths: str) -> Iterator[_TreeEntry]:
        """The entries below these paths; of the whole commit without any."""
        literal = [f":(literal){path}" for path in paths]
        listing = _run(repo, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit, *literal)
        for record in listing.split("\0"):
            if record:
                meta, _, name = record.partition("\t")
                mode, kind, object_id, size = meta.split()
                yield _TreeEntry(mode, kind, object_id, int(size) if size.isdigit() else 0, name)

    def _check_path(self, repo: git.Repo, commit: str) -> None:
        """Tell a path that was emptied on purpose from one that never was there: a slip must not prune anything."""
        if self._path and not _run(repo, "rev-list", "-1", commit, "--", f":(literal){self._path}"):
            raise SourceError(
                f"No commit of {commit[:12]} has {self._path}/.", hint="Commit a manifest below it, or check --path."
            )

    def _manifest(self, repo: git.Repo, entry: _TreeEntry) -> ManifestFile:
        known = self._blobs.get(entry.path)
        if known is not None and known.digest == entry.object_id:
            return known
        return ManifestFile(path=entry.path, content=_content(repo, entry.object_id), digest=entry.object_id)


def commit_of(revision: str) -> str:
    """The commit id in a revision. Raises SourceError for anything that is none."""
    commit = revision.rpartition(":")[2]
    if not _COMMIT.fullmatch(commit):
        raise SourceError(f"{revision} does not name a commit.")
    return commit


def _refusal(entry: _TreeEntry) -> RefusedFile | None:
    if not is_text(entry.path):
        return RefusedFile(path=visible(entry.path), message="The name of a manifest must be UTF-8.")
    if _MODES.get(entry.mode) not in (Kind.FILE, Kind.EXECUTABLE):
        return RefusedFile(path=entry.path, message="A manifest must be a regular file, not a link or a submodule.")
    if entry.size > MAX_MANIFEST_BYTES:
        return RefusedFile(path=entry.path, message=f"A manifest may have 1 MiB; this one has {entry.size} bytes.")
    return None


def _run(repo: git.Repo, *arguments: str) -> str:
    output = repo.git.execute(
        ["git", *arguments], stdout_as_string=False, strip_newline_in_stdout=False, kill_after_timeout=_TIMEOUT_SECONDS
    )
    return bytes(output).decode("utf-8", "surrogateescape")


def _content(repo: git.Repo, object_id: str) -> bytes:
    return repo.git.get_object_data(object_id)[3]


def _reason(error: Exception) -> str:
    if isinstance(error, git.GitCommandError):
        return str(error.stderr).strip().removeprefix("stderr: ").strip("' \n").rstrip(".") or str(error.status)
    return str(error).rstrip(".")


def start_repository(directory: Path, files: Collection[str], *, message: str) -> None:
    """Make `directory` a git repository whose first commit holds `files`. Raises SourceError.

    The commit is by git's configured user, or by `controller` where none is configured.
    """
    try:
        with git.Repo.init(directory, initial_branch="main") as repo:
            repo.index.add([str(file) for file in files])
            with repo.config_reader() as config:
                name = config.get_value("user", "name", "controller")
                email = config.get_value("user", "email", "controller@localhost")
            author = git.Actor(str(name), str(email))
            repo.index.commit(message, author=author, committer=author, skip_hooks=True)
    except (git.GitError, OSError) as error:
        raise SourceError(f"git could not start a repository in {directory}: {_reason(error)}.") from error
