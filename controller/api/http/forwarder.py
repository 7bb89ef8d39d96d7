"""The facts about the leader that a standby needs to forward requests. `app.standby` provides them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

NODE = "/node/"
_LOCAL = frozenset({"/login", "/logout", "/api/v1/login-links"})
_OF_RUN = re.compile(r"/(?:api/v1/)?runs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/.*)?")
_OF_FILES = re.compile(r"/api/v1/python/.+")
_OF_SOURCE = re.compile(r"/source|/api/v1/plan|/(?:api/v1/)?deployments/.+|/(?:api/v1/)?runs/[^/]+/diff")


class Need(Enum):
    """How much a request needs the leader: not at all, for a complete answer, or for any."""

    NONE = auto()
    BETTER = auto()
    ONLY = auto()


@dataclass(slots=True, kw_only=True)
class Forwarder:
    """The leader, and which requests need it.

    - `find_url` returns the URL of the leader. Raises NoLeaderError, StateError.
    - `has_files` returns whether all files of a run are on this machine.
    - `has_source` is False if only the leader has the commits of a remote repository.
    - `certificate` is that of this controller: the leader may have the same, or one of the same issuer.
    - `count` is the number of requests that the leader has answered.
    """

    find_url: Callable[[], str]
    has_files: Callable[[str], bool]
    has_source: bool
    certificate: Path | None = None
    count: int = 0

    def need(self, path: str, *, is_safe: bool) -> Need:
        """Return how much a request needs the leader. Raises StateError."""
        if path in _LOCAL:
            return Need.NONE
        if not is_safe or path.startswith(NODE):
            return Need.ONLY
        run = _OF_RUN.fullmatch(path)
        if run is not None and not self.has_files(run[1]):
            is_log = (run[2] or "").startswith("/logs")
            return Need.ONLY if is_log else Need.BETTER
        is_of_source = not self.has_source and _OF_SOURCE.fullmatch(path) is not None
        return Need.BETTER if is_of_source or _OF_FILES.fullmatch(path) is not None else Need.NONE
