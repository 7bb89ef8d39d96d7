"""The fire times before and after a change, as a part of the JSON of a plan."""

from datetime import datetime

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FireTimes:
    """Fire times before and after a change: the next ones, or those that differ. At most a few of each."""

    before: tuple[datetime, ...]
    after: tuple[datetime, ...]
