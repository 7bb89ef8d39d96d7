"""The gates of runs: what the run of a due time waits for. `runs` opens and closes them, and `queries` shows them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from controller.model.runs import FAILURES, RunId, RunState
from controller.model.triggers import UpstreamOutcome
from controller.records import dataclass
from controller.text import join_and, join_first, join_or
from controller.time_format import in_utc

UPSTREAM = "upstream: "
"""The prefix of the reason of a due time that was skipped because of an upstream deployment."""
_MOST_NAMES = 3


class GateState(StrEnum):
    """The state of a gate.

    - `waiting`: the upstream run has not finished, or there is none yet.
    - `open`: the upstream run has finished as required.
    - `closed`: it ended otherwise, so the due time was skipped. A later run of it can still open the gate.
    - `redone`: the upstream run that opened the gate was repeated, and the run has to be repeated, too.
    - `expired`: the deadline has passed.
    """

    WAITING = "waiting"
    OPEN = "open"
    CLOSED = "closed"
    REDONE = "redone"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One upstream deployment that the run `run_id` waits for, until the deadline `until`.

    It waits for the upstream's run of `due_time`. Without a due time, it waits for any run that was created after
    `since`, or for any run at all if that is None. `upstream_run_id` is the run that opened it. With `is_enough`, the
    run may start when this gate is open, even if others are not. `declared` is the name of the upstream in the commit
    of the run; `upstream` is its name now.
    """

    run_id: RunId
    upstream: str
    condition: UpstreamOutcome
    due_time: datetime | None
    since: datetime | None
    until: datetime
    state: GateState = GateState.WAITING
    upstream_run_id: RunId | None = None
    is_enough: bool = False
    declared: str = ""

    @property
    def text(self) -> str:
        """The run that the gate waits for, such as `ingest (due 2026-06-01 05:00:00 UTC)`."""
        if self.due_time is not None:
            return f"{self.upstream} (due {in_utc(self.due_time)})"
        return f"a run of {self.upstream}" + ("" if self.since is None else f" created after {in_utc(self.since)}")


def is_fulfilled(condition: UpstreamOutcome, state: RunState) -> bool:
    """Return whether a run in this state has finished as required; `finished` accepts every outcome."""
    match condition:
        case UpstreamOutcome.SUCCEEDED:
            return state is RunState.SUCCEEDED
        case UpstreamOutcome.FAILED:
            return state in FAILURES
    return state.is_terminal


def are_open(gates: Sequence[Gate]) -> bool:
    """Return whether a run with these gates may start."""
    is_open = [gate.state in (GateState.OPEN, GateState.REDONE) for gate in gates]
    return any(is_open) if gates and gates[0].is_enough else all(is_open)


def are_closed(gates: Sequence[Gate]) -> bool:
    """Return whether a run with these gates can't start any more, unless an upstream deployment runs again."""
    is_closed = [gate.state is GateState.CLOSED for gate in gates]
    return all(is_closed) if gates and gates[0].is_enough else any(is_closed)


def join_texts(waiting: Sequence[Gate]) -> str:
    """Return what these gates of one run wait for: all of them, or the first one."""
    return (" or " if waiting[0].is_enough else " and ").join(gate.text for gate in waiting)


def join_names(waiting: Sequence[Gate]) -> str:
    """Return the upstream deployments of these gates of one run: `ingest and audit`, `a, b, c and 2 more`."""
    names = [gate.upstream for gate in waiting]
    if len(names) > _MOST_NAMES:
        return join_first(names, _MOST_NAMES)
    return join_or(names) if waiting[0].is_enough else join_and(names)


def describe_late(waiting: Sequence[Gate]) -> str:
    """Return why these gates of one run have not opened by the deadline, such as `ingest (due …) did not finish`."""
    if waiting[0].is_enough and len(waiting) > 1:
        return f"neither {' nor '.join(gate.text for gate in waiting)} finished"
    due = " and ".join(gate.text for gate in waiting if gate.due_time is not None)
    manual = [f"no {gate.text.removeprefix('a ')} finished" for gate in waiting if gate.due_time is None]
    return " and ".join([*([f"{due} did not finish"] if due else []), *manual])
