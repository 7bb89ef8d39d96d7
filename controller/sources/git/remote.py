"""A repository behind a URL: `ls-remote` of one ref asks whether anything is new, and only then it is fetched.

Everything is read from our own bare mirror. The mirror is a cache: one that is damaged is made anew, once for each
commit, and what is then still wrong is the server's.
"""

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controller.errors import EmptyRepositoryError, RefNotFoundError, RepositoryNotFoundError, SourceError
from controller.remotes import Access, RemoteUrl
from controller.sources.git.commands import Git, GitError, OpenRepository
from controller.sources.git.mirror import FOLLOWED, Mirror
from controller.sources.git.reader import CommitReader
from controller.sources.git.ref_files import is_plain
from controller.sources.git.revisions import COMMIT, check_ref, commit_of, revision_of
from controller.sources.git.transport import Patience, environment, refusal, settings
from controller.sources.source import WatchedPath


@dataclass(frozen=True, slots=True)
class _Advertised:
    """What the server says of the followed ref: its full name (empty for a bare commit) and the id that it has."""

    label: str
    name: str
    object_id: str


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What was advertised when it was fetched, and the revision that it gave."""

    advertised: _Advertised
    revision: str


class RemoteSource(CommitReader):
    """One ref of a remote repository; None follows what the server's HEAD names."""

    def __init__(
        self,
        url: RemoteUrl,
        *,
        ref: str | None,
        path: str,
        mirror: Path,
        exports: Path,
        access: Access | None = None,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(mirror, path=path, exports=exports)
        self._url = url
        self._ref = check_ref(ref)
        self._mirror = Mirror(mirror)
        self._access = access or Access()
        self._patience = patience or Patience()
        self._server = Git(mirror, self.work)
        self._fetched: _Fetched | None = None
        self._is_suspect = False
        self._was_in_vain = False
        self._renewed_for = ""

    @property
    def mirror(self) -> Path:
        """Where what was fetched is kept."""
        return self._mirror.path

    def observe(self) -> str:
        """`main@sha1:<commit>` for a branch or tag, `sha1:<commit>` for a commit."""
        if self._mirror.ensure():
            self._fetched = None
        anew = self._is_suspect
        if self._fetched is not None and not self._fetched.advertised.name and not anew:
            return self._fetched.revision
        advertised = self._ask_or_renew()
        known = self._fetched
        anew = anew and self._renewed_for != advertised.object_id
        if known is None or known.advertised != advertised or anew:
            known = self._fetched = self._bring(advertised, anew=anew)
        self._is_suspect = False
        return known.revision

    def advertised(self) -> str:
        """Return the followed ref as the server has it, as `observe` words it. Nothing is fetched."""
        self._mirror.ensure()
        found = self._ask()
        return revision_of(found.label, found.object_id)

    def watched(self) -> tuple[WatchedPath, ...]:
        """Nothing on this machine tells of a change."""
        return ()

    def interrupt(self) -> None:
        """Wait for the server no longer, nor for the mirror."""
        self._server.interrupt()
        super().interrupt()

    @contextmanager
    def _look(self, commit: str | None = None) -> Iterator[OpenRepository]:
        """If it is the followed commit that can't be read, the mirror may be at fault; others may well be gone."""
        try:
            with self._git.look() as look:
                yield look
        except SourceError as error:
            is_followed = self._fetched is not None and commit == commit_of(self._fetched.revision)
            if is_followed and type(error) in (SourceError, RepositoryNotFoundError):
                self._is_suspect = True
            raise

    def _ask_or_renew(self) -> _Advertised:
        """Ask; where that fails for no reason that has a name, ask once more from an empty mirror."""
        try:
            found = self._ask()
        except SourceError as error:
            if type(error) is not SourceError or self._was_in_vain:
                raise
            self._was_in_vain = True
            with self._mirror.replaced("sha1"):
                found = self._ask()
            self._fetched = None
        self._was_in_vain = False
        return found

    def _ask(self) -> _Advertised:
        """Where the followed ref is on the server."""
        if self._ref is None:
            lines = self._talk("ls-remote", "--quiet", "--symref", "--end-of-options", str(self._url), "HEAD")
            return self._head(_parsed(lines))
        names = (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}")
        found = _parsed(self._talk("ls-remote", "--quiet", "--end-of-options", str(self._url), *names))
        for name in names:
            if name in found:
                return _Advertised(self._ref, name, found[name])
        if COMMIT.fullmatch(self._ref):
            return _Advertised("", "", self._ref)
        hint = "Check --ref."
        if re.fullmatch(r"[0-9a-f]{7,64}", self._ref):
            hint = "A commit of a remote repository has to be named by its whole id."
        raise RefNotFoundError(f"{self._url} has no branch or tag {self._ref}.", hint=hint)

    def _head(self, found: dict[str, str]) -> _Advertised:
        if "HEAD" in found:
            name = found.get("ref:HEAD", "HEAD")
            name = name if is_plain(name) else "HEAD"
            return _Advertised("" if name == "HEAD" else name.removeprefix("refs/heads/"), name, found["HEAD"])
        if self._talk("ls-remote", "--quiet", "--heads", "--end-of-options", str(self._url)):
            raise RefNotFoundError(f"The HEAD of {self._url} names a branch that is not there.", hint="Give --ref.")
        raise EmptyRepositoryError(f"{self._url} has no commit yet.", hint="Commit a deployment.")

    def _bring(self, advertised: _Advertised, *, anew: bool) -> _Fetched:
        """Fetch it unless it is here already; `anew` into an empty mirror."""
        here = None
        if not anew:
            with contextlib.suppress(SourceError), self._git.look() as look:
                here = self._mirror.followed(look)
        if here is None or here[0] != advertised.object_id:
            here = self._fetch(advertised, anew=anew)
        # The ref may have moved on between the question and the fetch: what counts is what came.
        came = _Advertised(advertised.label, advertised.name, here[0])
        return _Fetched(came, revision_of(advertised.label, here[1]))

    def _fetch(self, advertised: _Advertised, *, anew: bool) -> tuple[str, str]:
        algorithm = "sha1" if len(advertised.object_id) == 40 else "sha256"
        if not anew and self._speaks(algorithm):
            try:
                return self._fetch_once(advertised)
            except SourceError as error:
                is_full = "No space left" in error.message
                if type(error) is not SourceError or is_full or self._renewed_for == advertised.object_id:
                    raise
        self._renewed_for = advertised.object_id
        with self._mirror.replaced(algorithm):
            return self._fetch_once(advertised)

    def _fetch_once(self, advertised: _Advertised) -> tuple[str, str]:
        self._mirror.tidy()
        refspec = f"+{advertised.name or advertised.object_id}:{FOLLOWED}"
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance")
        self._talk("fetch", *options, "--end-of-options", str(self._url), refspec)
        with self._server.look() as look:
            self._mirror.compact(look)
            here = self._mirror.followed(look)
        if here is None:
            raise RefNotFoundError(f"{self._ref} of {self._url} leads to no commit.", hint="Check --ref.")
        return here

    def _speaks(self, algorithm: str) -> bool:
        try:
            with self._git.look() as look:
                return look.run("rev-parse", "--show-object-format").decode().strip() == algorithm
        except SourceError:
            return False

    def _talk(self, *arguments: str) -> str:
        """What the server says. Raises SourceError for what it refuses, StoppingError."""
        patience = self._patience.fetch if arguments[0] == "fetch" else self._patience.ask
        around = environment(self._url, self._access)
        with self._server.look(settings(self._url, self._access)) as look:
            try:
                said = look.run(*arguments, timeout=patience.total_seconds(), environment=around)
            except GitError as error:
                raise refusal(error, self._url, self._access) from error
        return said.decode("utf-8", "replace")


def _parsed(listing: str) -> dict[str, str]:
    """Ids by the full names of refs; what HEAD names stands under `ref:HEAD`."""
    found = {}
    for line in listing.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: refs/heads/") and name == "HEAD":
            found["ref:HEAD"] = value.removeprefix("ref: ")
        elif COMMIT.fullmatch(value):
            found[name] = value
    return found
