"""The machines whose controllers share a state, and what a standby reports about the runs of its machine."""

from datetime import datetime
from enum import StrEnum

from controller.model.runs import RunId, RunOutcome
from controller.records import dataclass


class HostState(StrEnum):
    """The role of the controllers of a host. `away`: none of them was seen for 30 seconds."""

    LEADING = "leading"
    STANDBY = "standby"
    AWAY = "away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine whose controllers use the state.

    `seen_at` is the last sign of life of a controller there, None if none is recorded. `running` is the number of runs
    in progress there. `directories` are where its controllers keep the files of runs.
    """

    name: str
    state: HostState
    seen_at: datetime | None
    running: int
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LostHost:
    """A host that was declared lost, and the runs that were ended."""

    host: str
    run_ids: tuple[RunId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """How an attempt ended on the host of a standby.

    `outcome` is None if its flow was not started; `doubt` is then why that is not certain, or None. `events` is what
    its flow reported about its tasks.
    """

    run_id: RunId
    number: int
    nonce: str
    outcome: RunOutcome | None
    doubt: str | None = None
    events: str = ""


def host_of(place: str) -> str:
    """Return the host of the place of an attempt, which is a host and a directory."""
    return place.partition(":")[0]


def directory_of(place: str) -> str:
    """Return the directory of the place of an attempt."""
    return place.partition(":")[2]
