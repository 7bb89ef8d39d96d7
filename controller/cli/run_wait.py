"""Waits for a run or a backfill to finish: the options `--wait` and `runs watch`. The running controller reports it.

A controller that stops reports nothing more, and a command may wait across a restart. So the recorded state decides
whether the run has finished, and whether a controller is running; it is read whenever the controller does not respond.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from controller.cli.json_output import to_json
from controller.cli.state_access import get_backfill, get_run, zone_of
from controller.client import Client, NoAnswerError, ProblemError
from controller.clock import SystemClock
from controller.errors import UsageError
from controller.model.backfills import BackfillState
from controller.model.runs import RunState
from controller.settings import Location, has_screen
from controller.store.state_directory import StateDirectory

if TYPE_CHECKING:
    from controller.cli.log_printer import LogPrinter
    from controller.model.runs import RunDetail

POLL_SECONDS = 0.05

OnChange = Callable[[Mapping[str, Any]], None]


def wait_for_run(location: Location, run_id: str, on_change: OnChange | None = None) -> dict[str, Any]:
    """Wait until the run with this full id finishes, and return it as `controller runs show -o json` does.

    `on_change` is called with the run now and whenever its state, its attempt or what it waits for has changed. Raises
    UsageError if the controller exits before the run finishes.
    """

    def follow(client: Client, report: OnChange) -> None:
        if on_change is None:
            client.wait(run_id)
            return
        for run in client.watch(run_id):
            report(run)

    return _wait(
        location,
        f"run {run_id}",
        read=lambda: to_json(get_run(location, run_id)[0]),
        has_ended=lambda run: RunState(run["state"]).is_terminal,
        follow=follow,
        on_change=_changes(on_change, "state", "attempt", "waiting"),
    )


def wait_for_backfill(location: Location, backfill_id: str, on_change: OnChange) -> dict[str, Any]:
    """Wait until the backfill with this full id ends, and return it as `controller backfills show -o json` does.

    `on_change` is called with the backfill now and whenever its state or its progress has changed. Raises UsageError if
    the controller exits before the backfill ends.
    """

    def follow(client: Client, report: OnChange) -> None:
        for _ in client.follow_events():
            backfill = client.backfill_progress(backfill_id)
            report(backfill)
            if BackfillState(backfill["state"]).is_terminal:
                return

    return _wait(
        location,
        f"backfill {backfill_id}",
        read=lambda: to_json(get_backfill(location, backfill_id)),
        has_ended=lambda backfill: BackfillState(backfill["state"]).is_terminal,
        follow=follow,
        on_change=_changes(on_change, "state", "done", "failed", "cancelled", "running"),
    )


def _wait(
    location: Location,
    name: str,
    *,
    read: Callable[[], dict[str, Any]],
    has_ended: Callable[[Mapping[str, Any]], bool],
    follow: Callable[[Client, OnChange], None],
    on_change: OnChange,
) -> dict[str, Any]:
    state, pause = StateDirectory.at(location), threading.Event()
    while True:
        # Checked before the state is read: a run may finish at the same time as its controller exits.
        is_last = state.holder() is None
        value = read()
        on_change(value)
        if has_ended(value):
            return value
        if is_last:
            raise UsageError(
                f"No controller is running, and {name} is {value['state']}; the next controller continues it."
            )
        try:
            follow(Client(state.socket), on_change)
        except (NoAnswerError, ProblemError):  # it starts or stops, or has too many streams
            pause.wait(POLL_SECONDS)


def follow_run(location: Location, run_id: str, *, logs: "LogPrinter | None" = None, with_tree: bool = False) -> bool:
    """Show the progress of a run until it finishes or no controller is running, and return whether it was shown.

    With `logs`, print its output as it arrives. On a terminal, `with_tree` draws its tasks on standard output, else
    a line on standard error shows its state. In a pipe, nothing is shown.
    """
    state = StateDirectory.at(location)

    def read_run() -> "RunDetail":
        return get_run(location, run_id)[0]

    def is_over() -> bool:
        return state.holder() is None or read_run().state.is_terminal

    if logs is not None:
        logs.print_logs(is_over)
        return True
    if not ((sys.stdout if with_tree else sys.stderr).isatty() and has_screen()):
        return False
    from controller.cli.terminal.run_progress import show_line, show_tree

    zone = zone_of(location, read_run().deployment)
    (show_tree if with_tree else show_line)(read_run, SystemClock(), is_over, zone)
    return True


def exit_code(run: Mapping[str, Any]) -> int:
    """Return the exit code for a finished run: 0 if it succeeded, or was started and had nothing to do, else 1."""
    has_run = run["started_at"] is not None
    return 0 if run["state"] == "succeeded" or (run["state"] == "skipped" and has_run) else 1


def _changes(on_change: OnChange | None, *keys: str) -> OnChange:
    """Return a function that calls `on_change` with a value if one of these keys differs from the value before."""
    reported = None

    def report(value: Mapping[str, Any]) -> None:
        nonlocal reported
        status = [value[key] for key in keys]
        if on_change is not None and status != reported:
            on_change(value)
        reported = status

    return report
