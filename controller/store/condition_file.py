"""Conditions of the running controller that can't be stored in the database, because writing to it fails.

They are in a small file in the state directory. It is opened and its space is allocated at start, so that it can be
written while the disk is full. The engine writes it; queries read it if a controller is running.
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
    """The writer of the file. Errors are ignored: the conditions are logged as well."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.posix_fallocate(self._descriptor, 0, BYTES)
        self.replace(())

    def replace(self, conditions: Iterable[Condition]) -> None:
        """Replace all conditions."""
        content = json.dumps(json_columns.to_json(conditions)).encode().ljust(BYTES)
        if self._descriptor is not None and len(content) == BYTES:
            with suppress(OSError):
                os.pwrite(self._descriptor, content, 0)

    def close(self) -> None:
        """Remove all conditions and close the file."""
        if self._descriptor is not None:
            self.replace(())
            os.close(self._descriptor)
            self._descriptor = None


def read_notices(path: Path) -> tuple[Condition, ...]:
    """Return the conditions in the file; none if the file is missing or invalid."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            content = os.read(descriptor, BYTES)
        finally:
            os.close(descriptor)
        return json_columns.from_json(json.loads(content))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
