"""Conditions of the running controller that can't be put into the database, because that is what is wrong with it.

One small file in the state directory, whose space is taken at start: it can be written to while the disk is full, and
without opening anything. Written by the engine, read by views, which ask first whether a controller runs.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from controller.model.status import Condition
from controller.store import json_columns

NOTICES = "notices.json"
"""The name of the file in the state directory."""
BYTES = 4096


class Notices:
    """The writing side. What the disk refuses is not told here: it is in the log as well."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.posix_fallocate(self._descriptor, 0, BYTES)
        self.put(())

    def put(self, found: Iterable[Condition]) -> None:
        """Replace what is told."""
        said = json.dumps(json_columns.to_json(found)).encode().ljust(BYTES)
        if self._descriptor is not None and len(said) == BYTES:
            with suppress(OSError):
                os.pwrite(self._descriptor, said, 0)

    def close(self) -> None:
        """Tell nothing more."""
        if self._descriptor is not None:
            self.put(())
            os.close(self._descriptor)
            self._descriptor = None


def read_notices(path: Path) -> tuple[Condition, ...]:
    """What the controller that runs here tells; nothing where there is no such file, or it can't be understood."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            said = os.read(descriptor, BYTES)
        finally:
            os.close(descriptor)
        return json_columns.from_json(json.loads(said))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
