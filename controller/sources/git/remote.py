"""Follows a repository behind a URL: `git ls-remote` lists one ref, and only if it has moved, it is fetched.

All reads use the bare mirror in the state directory. A damaged mirror is fetched again from scratch, at most once for
each commit. An error that remains after that is attributed to the server.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.errors import EmptyRepositoryError, RefNotFoundError, RepositoryNotFoundError, SourceError
from controller.records import dataclass
from controller.remotes import Access, RemoteUrl
from controller.sources.git.commands import Git, GitError, OpenRepository
from controller.sources.git.mirror import FOLLOWED, Mirror
from controller.sources.git.reader import CommitReader
from controller.sources.git.ref_files import is_plain
from controller.sources.git.revisions import COMMIT, check_ref, commit_of, revision_of
from controller.sources.git.transport import Timeouts, environment, server_error, settings
from controller.sources.source import WatchedPath


@dataclass(frozen=True, slots=True)
class _Advertised:
    """The followed ref on the server: its full name (empty if it is a commit id) and its object id."""

    label: str
    name: str
    object_id: str


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The ref as of the last fetch, and the revision that the fetch gave."""

    advertised: _Advertised
    revision: str


class RemoteSource(CommitReader):
    """A remote repository at one ref: a branch, a tag or a commit, or the server's HEAD if `ref` is None."""

    def __init__(
        self,
        url: RemoteUrl,
        *,
        ref: str | None,
        path: str,
        mirror: Path,
        exports: Path,
        access: Access | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        super().__init__(mirror, path=path, exports=exports)
        self._url = url
        self._ref = check_ref(ref)
        self._mirror = Mirror(mirror)
        self._access = access or Access()
        self._timeouts = timeouts or Timeouts()
        self._server = Git(mirror, self.work)
        self._fetched: _Fetched | None = None
        self._is_mirror_suspect = False
        self._has_renewal_failed = False
        self._renewed_for = ""
        self.requests: Counter[tuple[str, str]] = Counter()
        """The git commands that connected to the server: by `ls-remote` or `fetch`, and `success` or `failure`."""

    @property
    def mirror(self) -> Path:
        """The path of the mirror."""
        return self._mirror.path

    def observe(self) -> str:
        """Return `main@sha1:<commit>` for a branch or tag, `sha1:<commit>` for a commit."""
        if self._mirror.ensure():
            self._fetched = None
        from_scratch = self._is_mirror_suspect
        if self._fetched is not None and not self._fetched.advertised.name and not from_scratch:
            return self._fetched.revision
        advertised = self._list_ref_or_renew()
        fetched = self._fetched
        from_scratch = from_scratch and self._renewed_for != advertised.object_id
        if fetched is None or fetched.advertised != advertised or from_scratch:
            fetched = self._fetched = self._update(advertised, from_scratch=from_scratch)
        self._is_mirror_suspect = False
        return fetched.revision

    def list_ref(self) -> str:
        """Return the followed ref of the server, in the format of `observe`. Nothing is fetched."""
        self._mirror.ensure()
        advertised = self._list_ref()
        return revision_of(advertised.label, advertised.object_id)

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return nothing, because changes on a server can't be watched."""
        return ()

    def interrupt(self) -> None:
        """Kill the running git commands, in the mirror and with the server; all later ones raise StoppingError."""
        self._server.interrupt()
        super().interrupt()

    @contextmanager
    def _open(self, commit: str | None = None) -> Iterator[OpenRepository]:
        """Open the mirror, and mark it as suspect if the followed commit can't be read.

        Other commits may be missing from an intact mirror.
        """
        try:
            with self._git.open() as repo:
                yield repo
        except SourceError as error:
            is_followed = self._fetched is not None and commit == commit_of(self._fetched.revision)
            if is_followed and type(error) in (SourceError, RepositoryNotFoundError):
                self._is_mirror_suspect = True
            raise

    def _list_ref_or_renew(self) -> _Advertised:
        """List the followed ref; after an error of an unknown kind, try once more with an empty mirror."""
        try:
            advertised = self._list_ref()
        except SourceError as error:
            if type(error) is not SourceError or self._has_renewal_failed:
                raise
            self._has_renewal_failed = True
            with self._mirror.replace("sha1"):
                advertised = self._list_ref()
            self._fetched = None
        self._has_renewal_failed = False
        return advertised

    def _list_ref(self) -> _Advertised:
        """Return the followed ref of the server."""
        if self._ref is None:
            lines = self._run("ls-remote", "--quiet", "--symref", "--end-of-options", str(self._url), "HEAD")
            return self._head(_parse_refs(lines))
        names = (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}")
        refs = _parse_refs(self._run("ls-remote", "--quiet", "--end-of-options", str(self._url), *names))
        for name in names:
            if name in refs:
                return _Advertised(self._ref, name, refs[name])
        if COMMIT.fullmatch(self._ref):
            return _Advertised("", "", self._ref)
        hint = "Check --ref."
        if re.fullmatch(r"[0-9a-f]{7,64}", self._ref):
            hint = "For a commit of a remote repository, set --ref to its full ID."
        raise RefNotFoundError(f"{self._url} has no branch or tag {self._ref}.", hint=hint)

    def _head(self, refs: dict[str, str]) -> _Advertised:
        if "HEAD" in refs:
            name = refs.get("ref:HEAD", "HEAD")
            name = name if is_plain(name) else "HEAD"
            return _Advertised("" if name == "HEAD" else name.removeprefix("refs/heads/"), name, refs["HEAD"])
        if self._run("ls-remote", "--quiet", "--heads", "--end-of-options", str(self._url)):
            raise RefNotFoundError(f"The HEAD of {self._url} names a branch that does not exist.", hint="Set --ref.")
        raise EmptyRepositoryError(f"{self._url} has no commits yet.", hint="Commit a deployment.")

    def _update(self, advertised: _Advertised, *, from_scratch: bool) -> _Fetched:
        """Fetch the ref unless the mirror has it; with `from_scratch`, fetch it into an empty mirror."""
        followed = None
        if not from_scratch:
            with contextlib.suppress(SourceError), self._git.open() as repo:
                followed = self._mirror.fetched_ids(repo)
        if followed is None or followed[0] != advertised.object_id:
            followed = self._fetch(advertised, from_scratch=from_scratch)
        # The ref may have moved between `ls-remote` and the fetch: the fetched object counts.
        fetched = _Advertised(advertised.label, advertised.name, followed[0])
        return _Fetched(fetched, revision_of(advertised.label, followed[1]))

    def _fetch(self, advertised: _Advertised, *, from_scratch: bool) -> tuple[str, str]:
        algorithm = "sha1" if len(advertised.object_id) == 40 else "sha256"
        if not from_scratch and self._has_mirror_format(algorithm):
            try:
                return self._fetch_once(advertised)
            except SourceError as error:
                is_full = "No space left" in error.message
                if type(error) is not SourceError or is_full or self._renewed_for == advertised.object_id:
                    raise
        self._renewed_for = advertised.object_id
        with self._mirror.replace(algorithm):
            return self._fetch_once(advertised)

    def _fetch_once(self, advertised: _Advertised) -> tuple[str, str]:
        self._mirror.tidy()
        refspec = f"+{advertised.name or advertised.object_id}:{FOLLOWED}"
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance")
        self._run("fetch", *options, "--end-of-options", str(self._url), refspec)
        with self._server.open() as repo:
            self._mirror.compact(repo)
            followed = self._mirror.fetched_ids(repo)
        if followed is None:
            raise RefNotFoundError(f"{self._ref} of {self._url} does not lead to a commit.", hint="Check --ref.")
        return followed

    def _has_mirror_format(self, algorithm: str) -> bool:
        try:
            with self._git.open() as repo:
                return repo.run("rev-parse", "--show-object-format").decode().strip() == algorithm
        except SourceError:
            return False

    def _run(self, *arguments: str) -> str:
        """Run a git command that connects to the server, and return its output. Raises SourceError, StoppingError."""
        timeout = self._timeouts.fetch if arguments[0] == "fetch" else self._timeouts.list_refs
        variables = environment(self._url, self._access)
        with self._server.open(settings(self._url, self._access)) as repo:
            try:
                output = repo.run(*arguments, timeout=timeout.total_seconds(), environment=variables)
            except GitError as error:
                self.requests[arguments[0], "failure"] += 1
                raise server_error(error, self._url, self._access) from error
        self.requests[arguments[0], "success"] += 1
        return output.decode("utf-8", "replace")


def _parse_refs(listing: str) -> dict[str, str]:
    """Return the ids by the full names of refs, and the name of the branch that HEAD points to under `ref:HEAD`."""
    refs = {}
    for line in listing.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: refs/heads/") and name == "HEAD":
            refs["ref:HEAD"] = value.removeprefix("ref: ")
        elif COMMIT.fullmatch(value):
            refs[name] = value
    return refs
