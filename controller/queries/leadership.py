"""The controller that leads a state on a server, and the role of this one, as users see them."""

import socket
from enum import StrEnum

from controller.model.leaders import Leader
from controller.records import dataclass
from controller.store import Transaction
from controller.store.leaders import find_leader
from controller.store.state_directory import StateDirectory


class Role(StrEnum):
    """The role of a controller: it leads, or it waits until it can."""

    LEADER = "leader"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The role of this controller.

    A standby has two more facts: `lag_seconds` is how long ago it last asked the database who leads, and
    `forwarded_requests` how many requests it has passed on to the leader since it started.
    """

    role: Role
    lag_seconds: float | None = None
    forwarded_requests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """The controller that leads, and the role of the one with this state directory; both None for a state in a file.

    `role` is also None if no controller runs with the state directory. See `Standing` for the last two.
    """

    leader: Leader | None = None
    role: Role | None = None
    lag_seconds: float | None = None
    forwarded_requests: int | None = None


def read_leadership(tx: Transaction, state: StateDirectory, standing: Standing | None = None) -> Leadership | None:
    """Return who leads; None for a state in a file. Without `standing`, the role follows from the running process."""
    if state.database == state.file:
        return None
    leader = find_leader(tx)
    known = standing or _standing_of_process(state, leader)
    return Leadership(
        leader=leader,
        role=None if known is None else known.role,
        lag_seconds=None if known is None else known.lag_seconds,
        forwarded_requests=None if known is None else known.forwarded_requests,
    )


def _standing_of_process(state: StateDirectory, leader: Leader | None) -> Standing | None:
    holder = state.holder()
    if holder is None:
        return None
    is_own = leader is not None and (leader.host, leader.pid) == (holder.host, holder.pid)
    is_leader = is_own and leader is not None and leader.leads and holder.host == socket.gethostname()
    return Standing(role=Role.LEADER if is_leader else Role.STANDBY)
