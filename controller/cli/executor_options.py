"""The options of `controller run` about where flows run."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.cli.options import parse_duration_option

if TYPE_CHECKING:
    from controller.executor_settings import ExecutorSettings

_NAMES = ("executor", "ray_address", "ray_token_file", "lost_after", "node_url", "node_listen", "node_secret_file")


def executors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and pass them to the command as one `executors`."""

    @click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        envvar="CONTROLLER_EXECUTOR",
        default="local",
        show_default=True,
        help="Executor of deployments that name none: processes on this machine, or jobs of a Ray cluster.",
    )
    @click.option(
        "--ray-address",
        metavar="URL",
        envvar="CONTROLLER_RAY_ADDRESS",
        help="Dashboard of the Ray cluster for deployments with executor: ray, such as http://10.0.0.5:8265.",
    )
    @click.option(
        "--ray-token-file",
        metavar="FILE",
        envvar="CONTROLLER_RAY_TOKEN_FILE",
        help="File with the token of the Ray cluster, if it requires one.",
    )
    @click.option(
        "--lost-after",
        metavar="DURATION",
        envvar="CONTROLLER_LOST_AFTER",
        default="1h",
        show_default=True,
        help="Record a run as crashed after neither its node nor its cluster has answered for this long; 0: never.",
    )
    @click.option(
        "--node-url",
        metavar="URL",
        envvar="CONTROLLER_NODE_URL",
        help="URL at which nodes reach the controller. [default: from --node-listen or --listen]",
    )
    @click.option(
        "--node-listen",
        metavar="HOST:PORT",
        envvar="CONTROLLER_NODE_LISTEN",
        help="Address that serves only nodes, with the same certificate. [default: the address of --listen]",
    )
    @click.option(
        "--node-secret-file",
        metavar="FILE",
        envvar="CONTROLLER_NODE_SECRET_FILE",
        help="File with a secret that nodes have too. Without it, deployments with secrets do not run on the cluster.",
    )
    @wraps(command)
    def with_executors(**arguments: Any) -> Any:
        return command(executors=_take_settings(arguments), **arguments)

    return with_executors


def _take_settings(arguments: dict[str, Any]) -> "ExecutorSettings":
    """Remove the values of these options from `arguments`, and return the settings. Raises UsageError."""
    from controller.executor_settings import ExecutorSettings
    from controller.listen_settings import parse_listen

    own = {name: arguments.pop(name) for name in _NAMES}
    address = None
    if own["node_listen"]:
        address = parse_listen(
            own["node_listen"],
            certificate=arguments["tls_certificate"],
            key=arguments["tls_key"],
            is_behind_proxy=arguments["behind_proxy"],
            option="--node-listen",
        )
    lost_after = own["lost_after"].strip()
    return ExecutorSettings(
        default=own["executor"],
        ray_address=own["ray_address"] or None,
        ray_token_file=_path(own["ray_token_file"]),
        lost_after=None if lost_after in ("0", "0s") else parse_duration_option("--lost-after", lost_after),
        node_url=(own["node_url"] or "").rstrip("/") or None,
        node_listen=address,
        node_secret_file=_path(own["node_secret_file"]),
    )


def _path(text: str | None) -> Path | None:
    return Path(text).absolute() if text else None
