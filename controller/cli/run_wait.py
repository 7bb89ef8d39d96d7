"""Waits for a run to finish: `trigger --wait`, `runs retry --wait` and `runs watch`. The running controller reports it.

A controller that stops reports nothing more, and a command may wait across a restart. So the recorded state decides
whether the run has finished, and whether a controller is running; it is read whenever the controller does not respond.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from controller.cli.json_output import to_json
from controller.cli.state_access import get_run
from controller.client import Client, NoAnswerError, ProblemError
from controller.errors import UsageError
from controller.model.runs import RunState
from controller.settings import Location
from controller.store.state_directory import StateDirectory

POLL_SECONDS = 0.05

OnChange = Callable[[Mapping[str, Any]], None]


def wait_for_run(location: Location, run_id: str, on_change: OnChange | None = None) -> dict[str, Any]:
    """Wait until the run with this full id finishes, and return it as `controller runs show -o json` does.

    `on_change` is called with the run now and whenever its state, its attempt or what it waits for has changed. Raises
    UsageError if the controller exits before the run finishes.
    """
    state, pause = StateDirectory(location.state_dir), threading.Event()
    reported = None

    def report(run: Mapping[str, Any]) -> None:
        nonlocal reported
        status = (run["state"], run["attempt"], run["waiting"])
        if on_change is not None and status != reported:
            on_change(run)
        reported = status

    while True:
        # Checked before the run is read: a run may finish at the same time as its controller exits.
        is_last = state.holder() is None
        run: dict[str, Any] = to_json(get_run(location, run_id)[0])
        report(run)
        if RunState(run["state"]).is_terminal:
            return run
        if is_last:
            raise UsageError(
                f"No controller is running, and run {run_id} is {run['state']}; the next controller continues it."
            )
        try:
            _follow(Client(state.socket), run_id, None if on_change is None else report)
        except (NoAnswerError, ProblemError):  # it starts or stops, or has too many streams
            pause.wait(POLL_SECONDS)


def exit_code(run: Mapping[str, Any]) -> int:
    """Return the exit code for a finished run: 0 if it succeeded, or was started and had nothing to do, else 1."""
    has_run = run["started_at"] is not None
    return 0 if run["state"] == "succeeded" or (run["state"] == "skipped" and has_run) else 1


def _follow(client: Client, run_id: str, report: OnChange | None) -> None:
    if report is None:
        client.wait(run_id)
        return
    for run in client.watch(run_id):
        report(run)
