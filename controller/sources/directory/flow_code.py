"""The code files of a directory, which detect their own changes. Called by `source`.

A file counts once it has been requested, because a flow is read from it. A change of such a file gives a new revision.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Mapping

from controller.errors import SourceError, shortage
from controller.model.snapshots import DIRECTORY, CodeFile
from controller.sources.directory.files import Files, TooLargeError, UnstableError
from controller.sources.source import MAX_CODE_BYTES


class DirectoryCode:
    """The code files of a directory; `requested` has the digest of each file as of its first request."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.requested: dict[str, str] = {}

    @property
    def reads(self) -> int:
        """The number of files read so far."""
        return self._files.reads

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        """Return those paths that are regular files, or directories if they end with `/`. Links inside are followed."""
        files = {}
        for path in paths:
            file = self._file(path)
            self.requested.setdefault(path, "" if file is None else file.digest)
            if file is not None:
                files[path] = file
        return files

    def read(self, path: str) -> bytes:
        """Return the current content of a file. Raises SourceError."""
        try:
            return self._files.read(_check_path(path))
        except TooLargeError as error:
            raise SourceError(f"{path} has {error.size} bytes; the limit is {MAX_CODE_BYTES}.") from error
        except UnstableError as error:
            raise SourceError(f"{path} can't be read: it is being written.") from error
        except OSError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}.") from error

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Do nothing: files on disk are read quickly enough one by one."""

    def refresh(self) -> bool:
        """Check all requested files; return whether any of them has changed since the last check."""
        digests = {path: "" if (file := self._file(path)) is None else file.digest for path in self.requested}
        has_changed = digests != self.requested
        self.requested = digests
        return has_changed

    def digest(self, manifests: str) -> str:
        """Return the digest of the whole source, given the digest of its manifests."""
        if not self.requested:
            return manifests
        code = "".join(f"{path}\0{digest}\0" for path, digest in sorted(self.requested.items()))
        return hashlib.sha256(f"{manifests}\0{code}".encode("utf-8", "surrogateescape")).hexdigest()

    def _file(self, path: str) -> CodeFile | None:
        try:
            version = self._files.check(_check_path(path))
        except IsADirectoryError:
            return DIRECTORY if path.endswith("/") else None
        except PermissionError as error:
            return CodeFile(digest="refused", size=0, refusal=f"the file can't be read: {error.strerror}")
        except OSError as error:
            if (missing_resource := shortage(error)) is not None:
                raise SourceError(f"{path} can't be read: {missing_resource}.") from error
            return None
        except TooLargeError as error:
            stat = "-".join(str(number) for number in error.stamp)
            return CodeFile(digest=f"stat:{stat}", size=error.size)
        except UnstableError:
            before = self._files.last_version(path)
            return None if before is None else CodeFile(digest=before.digest, size=before.size)
        return CodeFile(digest=version.digest, size=version.size)


def _check_path(path: str) -> str:
    if "\0" in path or path.startswith("/"):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path
