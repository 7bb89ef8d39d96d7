"""Shows a run while it is in progress: one line for `--wait`, the tree of its tasks for `runs watch`."""

import sys
import threading
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.console import console
from controller.cli.terminal.run_tables import uncertainty
from controller.cli.terminal.task_tree import task_tree
from controller.clock import Clock
from controller.model.runs import RunDetail
from controller.text import format_count
from controller.time_format import convert_times, format_span

REFRESH_SECONDS = 0.25
_UNFINISHED = ("pending", "running", "retrying")


def show_line(
    read_run: Callable[[], RunDetail], clock: Clock, is_over: Callable[[], bool], zone: tzinfo | None
) -> None:
    """Show state, duration and task counts on one line of standard error until `is_over`, then remove the line.

    Times are in `zone`, or in the machine's zone if it is None.
    """
    screen = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    _show(screen, read_run, clock, is_over, partial(progress_line, zone=zone), is_transient=True)


def show_tree(
    read_run: Callable[[], RunDetail], clock: Clock, is_over: Callable[[], bool], zone: tzinfo | None
) -> None:
    """Show the state and the task tree on standard output until `is_over`; the last tree stays on the terminal."""
    _show(console(), read_run, clock, is_over, partial(progress_tree, zone=zone), is_transient=False)


def progress_line(run: RunDetail, now: datetime, zone: tzinfo | None) -> Text:
    """Return one line: `01a2… running 12s, 16 of 40 tasks done, 1 failed`."""
    line = Text.assemble(
        text_format.plain(run.id),
        " ",
        text_format.state(run.state),
        uncertainty(run),
        no_wrap=True,
        overflow="ellipsis",
    )
    if run.attempts > 1 and run.attempt:
        line.append(f" (attempt {run.attempt} of {run.attempts})")
    if run.waiting is not None:
        return line.append(": waiting: ").append_text(text_format.plain(convert_times(run.waiting, zone)))
    if run.started_at is not None:
        line.append(f" {format_span((run.finished_at or now) - run.started_at)}", style="dim")
    states = [task.state for task in run.tasks if task.kind == "task"]
    if states:
        done = sum(state not in _UNFINISHED for state in states)
        line.append(f", {done} of {format_count(len(states), 'task')} done")
        failed = sum(state in ("failed", "timed_out") for state in states)
        line.append(f", {failed} failed" if failed else "", style="bold red")
    return line


def progress_tree(run: RunDetail, now: datetime, zone: tzinfo | None) -> RenderableType:
    """Return the line of the run, its tasks, and the reason for its outcome."""
    parts: list[RenderableType] = [progress_line(run, now, zone)]
    if run.tasks:
        parts.append(task_tree(run.tasks, run.finished_at or now))
    if run.reason is not None and run.state.is_terminal:
        parts.append(text_format.plain(f"reason: {convert_times(run.reason, zone)}"))
    return Group(*parts)


def _show(
    screen: Console,
    read_run: Callable[[], RunDetail],
    clock: Clock,
    is_over: Callable[[], bool],
    render: Callable[[RunDetail, datetime], RenderableType],
    *,
    is_transient: bool,
) -> None:
    pause = threading.Event()
    with Live(console=screen, auto_refresh=False, transient=is_transient) as frame:
        while True:
            is_last = is_over()  # checked before reading, so that the last frame shows the outcome
            frame.update(render(read_run(), clock.now()), refresh=True)
            if is_last:
                return
            pause.wait(REFRESH_SECONDS)
