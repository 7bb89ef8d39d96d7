"""The methods of the client that read the status of the whole controller."""

from abc import ABC, abstractmethod
from typing import Any, cast

from controller.client.shapes import (
    Activity,
    Attention,
    Leadership,
    Pass,
    RecordedCommit,
    RunsInProgress,
    Source,
    Status,
    StatusSummary,
)


class StatusReader(ABC):
    """Reads the status with GET requests."""

    def status(self) -> Status:
        """Return the full status."""
        return cast("Status", self._get("/status"))

    def leadership(self) -> Leadership:
        """Return which controller leads, and the role of the one that answers."""
        return cast("Leadership", self._get("/leadership"))

    def source(self) -> Source:
        """Return the source and its conditions."""
        return cast("Source", self._get("/source"))

    def passes(self, *, limit: int = 50) -> list[Pass]:
        """Return the reconcile passes that found changes or failed, newest first."""
        return cast("list[Pass]", self._get("/passes", limit=limit))

    def commits(self, *, limit: int = 50) -> list[RecordedCommit]:
        """Return the commits that passes have seen, newest first."""
        return cast("list[RecordedCommit]", self._get("/commits", limit=limit))

    def summary(self) -> StatusSummary:
        """Return the status in a few numbers."""
        return cast("StatusSummary", self._get("/summary"))

    def activity(self) -> list[Activity]:
        """Return the finished runs in each half hour of the last 24 hours, oldest first."""
        return cast("list[Activity]", self._get("/activity"))

    def attention(self, *, search: str = "", offset: int = 0, limit: int = 100) -> list[Attention]:
        """Return the problems that need attention, the worst first; `search` is a part of the subject or message."""
        return cast("list[Attention]", self._get("/attention", search=search, offset=offset, limit=limit)["items"])

    def in_progress(self, *, limit: int = 100) -> RunsInProgress:
        """Return the running runs with their progress, what other runs wait for, and the load of the queues."""
        return cast("RunsInProgress", self._get("/in-progress", limit=limit))

    def page(self, path: str, **filters: Any) -> dict[str, Any]:
        """Return one page of a list, such as `/runs`, with its `items` and the cursor `next` if there is one."""
        return cast("dict[str, Any]", self._get(path, **filters))

    @abstractmethod
    def _get(self, path: str, **filters: Any) -> Any:
        """Send a GET request with these query parameters, and return the JSON of the response."""
