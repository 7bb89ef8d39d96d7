"""`controller run`: run the controller. On a terminal it shows the live view, elsewhere it prints log lines."""

import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from controller.cli import executor_options, notification_options, options, trigger_options
from controller.cli.help_pages import Command
from controller.cli.standard_streams import can_show_live_view, has_screen, write_to_terminal
from controller.clock import SystemClock
from controller.errors import DeposedError, StoppingError
from controller.settings import Location

if TYPE_CHECKING:
    from controller.app.controller import Controller
    from controller.app.stop_signal import StopSignal
    from controller.settings import Settings

log = logging.getLogger(__name__)

LIVE_SECONDS = 1.0
STOP_SECONDS = 9.0
"""Time limit for `Controller.stop`, in seconds, so that the process exits within 10 seconds of the stop signal."""
SWITCH_SECONDS = 0.001
"""Seconds that a computing thread, such as one that renders a page, can delay the engine. Python's default is 0.005."""


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="Apply the repository once and exit, without starting runs.")
@click.option("--working-tree", is_flag=True, help="Apply the files on disk instead of the last commit.")
@click.option(
    "--interval",
    metavar="DURATION",
    envvar="CONTROLLER_INTERVAL",
    default="15s",
    show_default=True,
    help="Polling interval, in addition to file watching.",
)
@click.option(
    "--apply-policy",
    type=click.Choice(["isolate", "atomic"]),
    envvar="CONTROLLER_APPLY_POLICY",
    default="isolate",
    show_default=True,
    help="isolate: keep the last valid version of invalid deployments and apply the rest. "
    "atomic: apply nothing unless everything is valid.",
)
@executor_options.executors
@click.option("--adopt-state", is_flag=True, help="Take over a state directory that belongs to another repository.")
@click.option(
    "--drain",
    is_flag=True,
    help="On the first stop signal, start no more flows and wait for running ones; "
    "on the second, exit without waiting.",
)
@click.option(
    "--max-running",
    metavar="N",
    envvar="CONTROLLER_MAX_RUNNING",
    type=click.IntRange(1),
    help="Maximum number of concurrent flows. [default: eight for each core]",
)
@click.option(
    "--flow-user",
    metavar="NAME",
    envvar="CONTROLLER_FLOW_USER",
    help="Run flows as this user; requires root. [default: the user of the controller]",
)
@options.uv
@click.option(
    "--prebuild",
    is_flag=True,
    envvar="CONTROLLER_PREBUILD",
    help="Build all Python environments before the first run starts. If one fails, the controller starts all the same.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT|none",
    envvar="CONTROLLER_LISTEN",
    help="Address of the dashboard and the HTTP API. [default: 127.0.0.1:4200]",
)
@click.option(
    "--tls-certificate",
    metavar="FILE",
    envvar="CONTROLLER_TLS_CERTIFICATE",
    help="TLS certificate for the dashboard and the API: a PEM file that includes the certificate chain.",
)
@click.option("--tls-key", metavar="FILE", envvar="CONTROLLER_TLS_KEY", help="Private key of the certificate.")
@click.option(
    "--behind-proxy",
    is_flag=True,
    envvar="CONTROLLER_BEHIND_PROXY",
    help="Serve behind a reverse proxy that terminates TLS.",
)
@click.option(
    "--public-host",
    "public_hosts",
    metavar="NAME",
    multiple=True,
    envvar="CONTROLLER_PUBLIC_HOST",
    help="Host name under which browsers may open the dashboard. Repeatable.",
)
@click.option(
    "--advertise",
    metavar="URL",
    envvar="CONTROLLER_ADVERTISE",
    help="URL at which standbys reach this controller while it leads. [default: from --listen and --public-host]",
)
@click.option(
    "--web-url-template",
    metavar="URL",
    envvar="CONTROLLER_WEB_URL_TEMPLATE",
    help="Web page of a commit, with {commit} for its id. [default: guessed for GitHub and GitLab]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar="CONTROLLER_LOG_FORMAT",
    help="Print log lines in this format instead of the live view. [default: text, without a terminal]",
)
@click.option(
    "--plain",
    is_flag=True,
    envvar="CONTROLLER_PLAIN",
    help="Redraw a plain report on the terminal instead of the live view.",
)
@trigger_options.triggers
@notification_options.notifications
@click.option(
    "--otlp-endpoint",
    metavar="URL",
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    help="Export traces of passes and runs to this OTLP/HTTP receiver; requires the extra `otel`.",
)
@options.location
def run(location: Location, once: bool, log_format: Any, prebuild: bool, plain: bool, **values: Any) -> int:
    """Run the controller: apply deployments and run flows on time.

    It follows a repository. Ctrl-C or SIGTERM stops it; flows that are running continue, and the next controller takes
    them over.
    """
    from controller import logs
    from controller.app.stop_signal import StopSignal
    from controller.cli.command_server import CommandServer
    from controller.runs.orphan_reaper import leave_reaper_behind
    from controller.settings import drop_git_variables, is_debugging

    leave_reaper_behind()
    drop_git_variables()
    is_live = has_screen() and log_format is None and not once
    server = None if once else CommandServer(location)
    stop_signal = StopSignal(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    controller = _create(_settings(location, {**values, "once": once}), stop_signal, log_format)
    if controller is None:
        return 0
    log_file = controller.state.log if is_live else None
    logs.configure(log_format or "text", to=log_file, with_tracebacks=is_debugging())
    controller.check()
    if server is None:
        return _once(controller, prebuild)
    if is_live:
        write_to_terminal("Starting the controller.\n")
    gc.set_threshold(700)  # Python's default, unlike in short commands
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        if not prebuild or controller.prebuild():
            controller.start()
            server.listen(controller.state.path)
            if not is_live:
                stop_signal.wait()
            elif plain or not can_show_live_view():
                _show_report(controller, stop_signal)
            else:
                _show_live_view(controller, stop_signal, needs_log=values["drain"])
    finally:
        server.stop()  # first: it removes its socket while no other controller can have this state
        controller.stop(STOP_SECONDS)
        if is_live:
            write_to_terminal(_farewell(controller.running_flows))
    if controller.failure is not None:
        _fail(controller.failure, stop_signal)
    return 0


def _create(settings: "Settings", stop_signal: "StopSignal", log_format: Any) -> "Controller | None":
    """Create the controller, as soon as no other one leads the project; None if the stop signal arrived before."""
    from controller import logs
    from controller.app.controller import Controller
    from controller.settings import is_debugging

    if settings.waits and settings.location.state_url is not None:  # a standby logs that it waits
        logs.configure(log_format or "text", to=None, with_tracebacks=is_debugging())
    try:
        return Controller(settings, stop_signal)
    except StoppingError:
        return None


def _fail(failure: BaseException, stop_signal: "StopSignal") -> None:
    """Raise the error that stopped the controller. One that was deposed becomes a standby, unless it is to stop."""
    from controller.settings import mark_deposed

    if not isinstance(failure, DeposedError):
        raise failure
    log.warning("%s", failure.message)
    if stop_signal.release():
        return
    logging.shutdown()
    mark_deposed()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # nothing of the old state remains


def _show_live_view(controller: "Controller", stop_signal: "StopSignal", *, needs_log: bool) -> None:
    """Show the live view in a process of its own until the stop signal.

    Log lines follow if the view fails, and with `needs_log` after it.
    """
    from controller import logs
    from controller.cli.view_process import ViewProcess
    from controller.settings import is_debugging

    def print_log(message: str) -> None:
        write_to_terminal(f"{message}\n")
        logs.configure("text", with_tracebacks=is_debugging())

    view = ViewProcess(controller.state.path, on_quit=stop_signal.set, on_failure=print_log)
    try:
        stop_signal.wait()
    finally:
        view.stop()
        if needs_log:
            logs.configure("text", with_tracebacks=is_debugging())


def _farewell(running: int | None) -> str:
    """Return the last line of `controller run` on a terminal."""
    if running is None:
        return "Controller stopped.\n"
    if not running:
        return "Controller stopped. No flows are running.\n"
    flows = "1 flow is" if running == 1 else f"{running} flows are"
    them = "it" if running == 1 else "them"
    return f"Controller stopped. {flows} still running; the next controller takes {them} over.\n"


def _settings(location: Location, values: dict[str, Any]) -> Any:
    from controller.executor_settings import check_executors
    from controller.listen_settings import parse_listen
    from controller.remotes import check_web_url_template
    from controller.schedules import parse_duration
    from controller.settings import Settings

    limits = {"max_running": values["max_running"]} if values["max_running"] is not None else {}
    listen = parse_listen(
        values["listen"],
        certificate=values["tls_certificate"],
        key=values["tls_key"],
        is_behind_proxy=values["behind_proxy"],
        public_hosts=values["public_hosts"],
        advertise=values["advertise"],
    )
    return Settings(
        location=location,
        working_tree=values["working_tree"],
        is_atomic=values["apply_policy"] == "atomic",
        adopt_state=values["adopt_state"],
        drain=values["drain"],
        interval=parse_duration(values["interval"]),
        flow_user=values["flow_user"],
        web_url_template=check_web_url_template(values["web_url_template"]),
        uv=values["uv"],
        notifications=values["notifications"],
        triggers=values["triggers"],
        waits=not values["once"],
        otlp_endpoint=values["otlp_endpoint"] or None,
        listen=listen,
        executors=check_executors(values["executors"], listen, working_tree=values["working_tree"]),
        **limits,
    )


def _once(controller: "Controller", prebuild: bool) -> int:
    if prebuild:
        controller.prebuild()
    result = controller.run_once()
    if result.error is not None:
        raise result.error
    return 1 if any(not condition.is_true for condition in result.status.conditions) else 0


def _show_report(controller: "Controller", stop_signal: "StopSignal") -> None:
    from controller.cli.terminal.live_report import show_report

    show_report(controller.status, SystemClock(), lambda: stop_signal.wait(LIVE_SECONDS))
