"""Cheap statistics that parts of the controller keep about their own work since the start of the process.

`reconcile.pass_statistics`, `runs.run_statistics` and `store.store` fill them, each from one thread at a time.
`controller.api.metrics` reads them from other threads, for `/metrics`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Counts observations by bucket. `bounds` are the upper bounds of the buckets in ascending order, inclusive."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation. A negative value, for example of a clock that was set back, is treated as 0."""
        value = max(0.0, value)
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self._counts)

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Yield each upper bound with the number of observations up to it; the last bound is infinity."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts.copy(), strict=True):
            total += count
            yield bound, total
