"""The deployments that may be due, in batches, so that the first of many runs start while the others are decided.

Any thread adds names, and the engine takes a batch in each turn. The first batch has only `FIRST` names, because its
runs start after the whole batch was decided. The second one has at least `SMALLEST` names, or one for each free slot.
Each further one is twice as large, up to `LARGEST`, which takes about as long to decide as a supervisor takes to start.
So a few transactions decide all of them.
"""

from collections import deque
from collections.abc import Iterable

from controller.manifests.active_deployments import ActiveDeployments

FIRST = 2
SMALLEST = 8
LARGEST = 128


class DueAnnouncements:
    """Names of deployments, each once. Those with a higher priority come first, then those that were added first."""

    def __init__(self, deployments: ActiveDeployments) -> None:
        self._deployments = deployments
        self._added: deque[str] = deque()
        self._waiting: list[str] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._waiting or self._added)

    @property
    def has_begun(self) -> bool:
        """Whether only the first batch was taken, and others wait."""
        return self._size == FIRST and bool(self)

    def add(self, name: str) -> None:
        """Add a deployment. May be called from any thread."""
        self._added.append(name)

    def take(self, free: int) -> list[str]:
        """Return the next batch, while `free` slots are free. The caller processes it, or puts it back."""
        self._sort()
        self._size = min(LARGEST, max(self._size * 2, SMALLEST, free)) if self._size else FIRST
        batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        if not self._waiting:
            self._size = 0
        return batch

    def put_back(self, names: Iterable[str]) -> None:
        """Put names back that could not be processed."""
        self._waiting = list(dict.fromkeys([*names, *self._waiting]))
        self._size = 0

    def _sort(self) -> None:
        """Sort in what was added since. A deployment with an unknown priority comes first."""
        if not self._added:
            return
        names = dict.fromkeys(self._waiting)
        while self._added:
            names[self._added.popleft()] = None
        self._waiting = sorted(names, key=self._rank)

    def _rank(self, name: str) -> tuple[bool, int]:
        priority = self._deployments.priority(name)
        return (priority is not None, -(priority or 0))
