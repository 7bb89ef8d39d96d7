"""Asks the process of a standby what only it knows: how far it is behind, and how many requests it has forwarded."""

from dataclasses import replace

from controller.client import Client, NoAnswerError, NotReachedError, ProblemError
from controller.queries.leadership import Leadership, Role, read_leadership
from controller.store import Store
from controller.store.state_directory import StateDirectory
from controller.text import format_count

_SECONDS = 2.0


def complete(leadership: Leadership | None, state: StateDirectory) -> Leadership | None:
    """Add what the standby with this state directory says. Without an answer, return the leadership unchanged."""
    if leadership is None or leadership.role is not Role.STANDBY:
        return leadership
    try:
        answer = Client(state.socket, timeout=_SECONDS).leadership()
    except (ProblemError, NotReachedError, NoAnswerError):
        return leadership
    return replace(leadership, lag_seconds=answer["lag_seconds"], forwarded_requests=answer["forwarded_requests"])


def describe_role(state: StateDirectory) -> str | None:
    """Return the role of the controller with this state directory as a text; None if none runs. Raises StateError."""
    store = Store.open_existing(state.database)
    if store is None:
        return None
    try:
        with store.read() as tx:
            leadership = complete(read_leadership(tx, state), state)
    finally:
        store.close()
    if leadership is None or leadership.role is None:
        return None
    if leadership.role is Role.LEADER:
        return "leader"
    if leadership.lag_seconds is None or leadership.forwarded_requests is None:
        return "standby"
    requests = format_count(leadership.forwarded_requests, "request")
    return f"standby, {leadership.lag_seconds:.1f} s behind, {requests} forwarded"
