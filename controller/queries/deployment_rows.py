"""The sorted rows of all deployments, and what the overview counts in them. A changed row updates both."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from controller.queries.attention import may_need_attention
from controller.queries.deployments import DeploymentState, DeploymentView, sort_key
from controller.records import dataclass

Start = tuple[datetime, str]
"""The time at which the next run of a deployment starts, and its name."""
_MANY = 500
"""With more changes than this, sorting everything again is faster than single updates."""
_AFTER_NAMES = chr(0x10FFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSummary:
    """A summary of all deployments for the overview.

    - `count`: how many there are. `states`: how many are in each state, including zeros.
    - `notable`: those that may need attention, in the order of `sort_key`. `starts`: the next starts, sorted.
    - `has_triggers`: whether other deployments, files or webhooks start runs of a deployment that is not suspended.
    """

    count: int
    states: Mapping[DeploymentState, int]
    notable: Sequence[DeploymentView]
    starts: Sequence[Start]
    has_triggers: bool


class DeploymentRows:
    """The rows of all deployments. Returned lists do not change later."""

    def __init__(self) -> None:
        self.in_order: list[DeploymentView] = []
        self._by_name: dict[str, DeploymentView] = {}
        self._notable: list[DeploymentView] = []
        self._starts: list[Start] = []
        self._states: Counter[DeploymentState] = Counter()
        self._triggered = 0

    def names(self) -> Collection[str]:
        """Return the names of all rows."""
        return self._by_name.keys()

    def find(self, name: str) -> DeploymentView | None:
        """Return the row of this deployment, if there is one."""
        return self._by_name.get(name)

    def due(self, now: datetime) -> set[str]:
        """Return the names of the rows whose next start has passed."""
        return {name for _, name in self._starts[: bisect_right(self._starts, (now, _AFTER_NAMES))]}

    def first_start(self) -> list[datetime]:
        """Return the earliest of all next starts, as a list of at most one."""
        return [time for time, _ in self._starts[:1]]

    def summary(self) -> DeploymentSummary:
        """Return the summary of the rows."""
        return DeploymentSummary(
            count=len(self._by_name),
            states={state: self._states[state] for state in DeploymentState},
            notable=self._notable,
            starts=self._starts,
            has_triggers=self._triggered > 0,
        )

    def replace(self, stale: Iterable[str], new_rows: Mapping[str, DeploymentView]) -> None:
        """Remove the `stale` rows and insert the new ones. Makes new lists: callers keep the old ones unchanged."""
        removed = [self._by_name.pop(name) for name in stale if name in self._by_name]
        self._by_name |= new_rows
        added = list(new_rows.values())
        self._states.subtract(row.state for row in removed)
        self._states.update(row.state for row in added)
        self._triggered += sum(map(_is_triggered, added)) - sum(map(_is_triggered, removed))
        if len(removed) + len(added) > _MANY:
            self.in_order = sorted(self._by_name.values(), key=sort_key)
            self._notable = list(filter(may_need_attention, self.in_order))
            self._starts = sorted(_starts_of(self.in_order))
            return
        self.in_order = _replace_rows(self.in_order, removed, added)
        before, after = (list(filter(may_need_attention, rows)) for rows in (removed, added))
        if before or after:
            self._notable = _replace_rows(self._notable, before, after)
        starts = self._starts.copy()
        for start in _starts_of(removed):
            del starts[bisect_left(starts, start)]
        for start in _starts_of(added):
            insort(starts, start)
        self._starts = starts


def summarize(views: Iterable[DeploymentView]) -> DeploymentSummary:
    """Return the summary of these deployments."""
    rows = DeploymentRows()
    rows.replace((), {view.name: view for view in views})
    return rows.summary()


def _replace_rows(
    rows: list[DeploymentView], removed: Iterable[DeploymentView], added: Iterable[DeploymentView]
) -> list[DeploymentView]:
    rows = rows.copy()
    for row in removed:
        del rows[bisect_left(rows, sort_key(row), key=sort_key)]
    for row in added:
        insort(rows, row, key=sort_key)
    return rows


def _starts_of(rows: Iterable[DeploymentView]) -> list[Start]:
    return [(row.next_start, row.name) for row in rows if row.next_start is not None]


def _is_triggered(row: DeploymentView) -> bool:
    return bool(row.triggers) and not row.suspended
