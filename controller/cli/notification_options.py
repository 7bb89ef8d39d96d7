"""The options of `controller run` about notifications, heartbeats and metrics."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def notifications(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and pass them to the command as one `notifications`."""

    @click.option(
        "--notify-config",
        metavar="FILE",
        envvar="CONTROLLER_NOTIFY_CONFIG",
        help="File with the channels and rules of notifications. [default: ~/.config/controller/notify.yaml]",
    )
    @click.option(
        "--notify-ca",
        metavar="FILE",
        envvar="CONTROLLER_NOTIFY_CA",
        help="PEM file of further certificate authorities to trust when messages are sent.",
    )
    @click.option(
        "--public-url",
        metavar="URL",
        envvar="CONTROLLER_PUBLIC_URL",
        help="URL of the dashboard for links in messages. [default: no links]",
    )
    @click.option(
        "--heartbeat-url",
        metavar="URL",
        envvar="CONTROLLER_HEARTBEAT_URL",
        help="Request this URL each minute while the controller works. If it contains a secret, use the variable.",
    )
    @click.option(
        "--metrics-per-deployment",
        type=click.Choice(["on", "off"]),
        envvar="CONTROLLER_METRICS_PER_DEPLOYMENT",
        default="on",
        show_default=True,
        help="Whether /metrics has series for each deployment.",
    )
    @wraps(command)
    def with_notifications(
        notify_config: str | None,
        notify_ca: str | None,
        public_url: str | None,
        heartbeat_url: str | None,
        metrics_per_deployment: str,
        **arguments: Any,
    ) -> Any:
        from controller.notification_settings import parse_notifications
        from controller.settings import configuration_directory

        settings = parse_notifications(
            config=notify_config,
            default_directory=configuration_directory(),
            public_url=public_url,
            heartbeat_url=heartbeat_url,
            ca_file=notify_ca,
            has_deployment_metrics=metrics_per_deployment == "on",
        )
        return command(notifications=settings, **arguments)

    return with_notifications
