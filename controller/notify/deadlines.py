"""The deadlines that deployments declare with `expect`: which were missed, and which are met again.

`evaluation` calls `DeadlineMonitor.check` in the transaction of each evaluation. The monitor records missed deadlines
in the table `deadlines`, from which `queries` shows the conditions `Late` and `Overdue`, and the events `Late`,
`Overdue` and `OnTime`.
"""

from dataclasses import dataclass
from datetime import datetime

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.notifications import MissedDeadline, Trouble
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineChange:
    """What has changed since the last check.

    - `missed`: new misses, and misses that were known and have grown by another due time (`count`).
    - `met`: deployments that are on time again: the run started, finished or succeeded. With both `finish_within` and
      `success_every`, `overdue` is met when neither is missed.
    - `withdrawn`: deployments that are no longer expected to run: they were deleted, suspended or held, their deadline
      was removed, or a user cancelled the run. That is no recovery.
    """

    missed: list[MissedDeadline]
    met: list[tuple[str, Trouble]]
    withdrawn: list[tuple[str, Trouble]]


class DeadlineMonitor:
    """Checks the deadlines. Not thread-safe: call it from the thread of notifications only."""

    def __init__(self, deployments: ActiveDeployments) -> None:
        self._deployments = deployments

    def check(self, tx: Transaction, now: datetime) -> DeadlineChange:
        """Return what has changed since the last check, and record it. `tx` is a write transaction.

        Call it after each commit, and when `next_time` has come. It reads only the deployments with deadlines that
        are due, and those that have missed one.
        """
        del tx, now
        return DeadlineChange(missed=[], met=[], withdrawn=[])

    def next_time(self) -> datetime | None:
        """Return when a deadline passes next, as of the last check; None without one."""
        return None
