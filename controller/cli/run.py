"""`controller run`: the controller itself. On a terminal it shows the live view, elsewhere it logs lines."""

import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from controller.cli import options
from controller.settings import Location

if TYPE_CHECKING:
    from controller.app import Controller, StopSignal

LIVE_SECONDS = 1.0
STOP_SECONDS = 9.0
"""A controller that is asked to end has ended 10 seconds later."""


@click.command()
@click.option("--once", is_flag=True, help="One pass over the repository, no runs, and exit.")
@click.option("--working-tree", is_flag=True, help="Follow the files on disk instead of the committed state.")
@click.option(
    "--interval",
    metavar="DURATION",
    envvar="CONTROLLER_INTERVAL",
    default="15s",
    show_default=True,
    help="How often to look although nothing hinted at a change.",
)
@click.option(
    "--apply-policy",
    type=click.Choice(["isolate", "atomic"]),
    envvar="CONTROLLER_APPLY_POLICY",
    default="isolate",
    show_default=True,
    help="What is bad keeps its last good version and all else is applied; or nothing is, unless all is valid.",
)
@click.option(
    "--executor",
    type=click.Choice(["local"]),
    envvar="CONTROLLER_EXECUTOR",
    default="local",
    show_default=True,
    help="Where flows run: in processes of this machine.",
)
@click.option(
    "--adopt-state", is_flag=True, help="Go on with the state of another repository, which this one replaces."
)
@click.option("--drain", is_flag=True, help="When asked to end, wait for running flows; asked again, do not.")
@click.option(
    "--max-running",
    metavar="N",
    envvar="CONTROLLER_MAX_RUNNING",
    type=click.IntRange(1),
    help="How many flows may run at once. [default: twice the cores]",
)
@click.option(
    "--flow-user",
    metavar="NAME",
    envvar="CONTROLLER_FLOW_USER",
    help="Run flows as this user; needs root. [default: the controller's own user]",
)
@click.option(
    "--listen",
    metavar="HOST:PORT|none",
    envvar="CONTROLLER_LISTEN",
    help="Where the dashboard and the HTTP API are served. [default: 127.0.0.1:4200]",
)
@click.option("--tls-certificate", metavar="FILE", envvar="CONTROLLER_TLS_CERTIFICATE", help="Serve it with TLS.")
@click.option("--tls-key", metavar="FILE", envvar="CONTROLLER_TLS_KEY", help="The key of that certificate.")
@click.option("--behind-proxy", is_flag=True, envvar="CONTROLLER_BEHIND_PROXY", help="A proxy in front of it adds TLS.")
@click.option(
    "--public-host",
    "public_hosts",
    metavar="NAME",
    multiple=True,
    envvar="CONTROLLER_PUBLIC_HOST",
    help="A name that browsers may use for it; repeatable.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar="CONTROLLER_LOG_FORMAT",
    help="Log lines of this form, also on a terminal. [default: text, without a terminal]",
)
@options.location
def run(location: Location, once: bool, log_format: Any, **chosen: Any) -> int:
    """Follow a repository: put its deployments in force and run their flows on time.

    Ctrl-C or SIGTERM ends it; flows that run go on, and the next controller takes them over.
    """
    from controller import logs
    from controller.app import Controller, StopSignal
    from controller.runs.orphan_reaper import leave_reaper_behind
    from controller.settings import drop_git_variables, has_screen, is_debugging

    leave_reaper_behind()
    drop_git_variables()
    is_live = sys.stdout.isatty() and has_screen() and log_format is None and not once
    ending = StopSignal(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    controller = Controller(_settings(location, chosen), ending)
    log_file = controller.state.log if is_live else None
    logs.configure(log_format or "text", to=log_file, with_tracebacks=is_debugging())
    controller.check()
    if once:
        return _once(controller)
    try:
        controller.start()
        if is_live:
            _live(controller, ending)
        else:
            ending.wait()
    finally:
        controller.stop(STOP_SECONDS)
    if controller.failure is not None:
        raise controller.failure
    return 0


def _settings(location: Location, chosen: dict[str, Any]) -> Any:
    from controller.schedules import parse_duration
    from controller.settings import Settings, parse_listen

    given = {"max_running": chosen["max_running"]} if chosen["max_running"] is not None else {}
    return Settings(
        location=location,
        working_tree=chosen["working_tree"],
        is_atomic=chosen["apply_policy"] == "atomic",
        adopt_state=chosen["adopt_state"],
        drain=chosen["drain"],
        interval=parse_duration(chosen["interval"]),
        flow_user=chosen["flow_user"],
        listen=parse_listen(
            chosen["listen"],
            certificate=chosen["tls_certificate"],
            key=chosen["tls_key"],
            is_behind_proxy=chosen["behind_proxy"],
            public_hosts=chosen["public_hosts"],
        ),
        **given,
    )


def _once(controller: "Controller") -> int:
    result = controller.run_once()
    if result.error is not None:
        raise result.error
    return 1 if any(condition.status is False for condition in result.status.conditions) else 0


def _live(controller: "Controller", ending: "StopSignal") -> None:
    from controller.cli.terminal.live_view import live
    from controller.clock import SystemClock

    live(controller.status, SystemClock(), lambda: ending.wait(LIVE_SECONDS))
