"""The files of a directory that flows are read from, as they are now, and what they were when they were asked for.

`source` makes one and lets it say whether any of them has changed: that makes a new revision.
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
    """The files of a directory that flows are read from, and what they were when they were first asked for."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.asked: dict[str, str] = {}

    @property
    def reads(self) -> int:
        """How many files were read since it was made."""
        return self._files.reads

    def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
        """Those that are regular files now, or directories if they end with `/`; links inside are followed."""
        found = {}
        for path in paths:
            file = self._file(path)
            self.asked.setdefault(path, "" if file is None else file.digest)
            if file is not None:
                found[path] = file
        return found

    def read(self, path: str) -> bytes:
        """The content of one of them as it is now."""
        try:
            return self._files.read(_checked(path))
        except TooLargeError as error:
            raise SourceError(f"{path} has {error.size} bytes; at most {MAX_CODE_BYTES} are read.") from error
        except UnstableError as error:
            raise SourceError(f"{path} can't be read: it is being written.") from error
        except OSError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}.") from error

    def read_ahead(self, paths: Iterable[str]) -> None:
        """Nothing is gained by it on disk."""

    def look(self) -> bool:
        """Look again at all that was asked for; whether any of it has changed."""
        now = {path: "" if (file := self._file(path)) is None else file.digest for path in self.asked}
        changed = now != self.asked
        self.asked = now
        return changed

    def digest(self, manifests: str) -> str:
        """The digest of everything, from that of the manifests."""
        if not self.asked:
            return manifests
        said = "".join(f"{path}\0{digest}\0" for path, digest in sorted(self.asked.items()))
        return hashlib.sha256(f"{manifests}\0{said}".encode("utf-8", "surrogateescape")).hexdigest()

    def _file(self, path: str) -> CodeFile | None:
        try:
            seen = self._files.look(_checked(path))
        except IsADirectoryError:
            return DIRECTORY if path.endswith("/") else None
        except PermissionError as error:
            return CodeFile(digest="refused", size=0, refusal=f"the file can't be read: {error.strerror}")
        except OSError as error:
            if (want := shortage(error)) is not None:
                raise SourceError(f"{path} can't be read: {want}.") from error
            return None
        except TooLargeError as error:
            stat = "-".join(str(number) for number in error.stamp)
            return CodeFile(digest=f"stat:{stat}", size=error.size)
        except UnstableError:
            before = self._files.last(path)
            return None if before is None else CodeFile(digest=before.digest, size=before.size)
        return CodeFile(digest=seen.digest, size=seen.size)


def _checked(path: str) -> str:
    if "\0" in path or path.startswith("/"):
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path
