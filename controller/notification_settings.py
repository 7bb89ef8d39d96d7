"""The operator's settings of notifications, heartbeats and metrics: options of `controller run`.

`cli.run` parses them with `parse_notifications`. The channels and rules themselves are in the file that `config` names.
"""

import re
from dataclasses import field
from pathlib import Path
from urllib.parse import urlsplit

from controller.errors import UsageError
from controller.records import dataclass

CONFIG = "notify.yaml"
"""The name of the default file with channels and rules, in the operator's configuration directory."""
_URL = re.compile(r"https?://[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSettings:
    """Where channels and rules are declared, and what messages and heartbeats need.

    - `config`: the file with channels and rules, or None without channels. `needs_config`: it must exist.
    - `public_url`: the URL under which people open the dashboard, without a slash at the end; links start with it.
    - `heartbeat_url`: a URL that is pinged while the controller works; it may contain a secret.
    - `ca_file`: further certificate authorities that deliveries trust.
    - `has_deployment_metrics`: whether `/metrics` has series for each deployment.
    """

    config: Path | None = None
    needs_config: bool = False
    public_url: str | None = None
    heartbeat_url: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    has_deployment_metrics: bool = True


def parse_notifications(
    *,
    config: str | None,
    default_directory: Path,
    public_url: str | None,
    heartbeat_url: str | None,
    ca_file: str | None,
    has_deployment_metrics: bool,
) -> NotificationSettings:
    """Check the options. Raises UsageError, without the heartbeat URL, since it may contain a secret."""
    files = {"--notify-config": config or None, "--notify-ca": ca_file or None}
    for option, file in files.items():
        if file is not None and not Path(file).is_file():
            raise UsageError(f"{option} {file}: the file does not exist.")
    if heartbeat_url and not _is_web_url(heartbeat_url):
        raise UsageError(
            "--heartbeat-url: expected an http(s) URL.",
            hint="Set it in CONTROLLER_HEARTBEAT_URL, so that the list of processes does not show it.",
        )
    if public_url and (not _is_web_url(public_url) or "?" in public_url or "#" in public_url or "@" in public_url):
        raise UsageError(
            "--public-url: expected the http(s) URL of the dashboard, without user, query and fragment.",
            hint="For example: --public-url https://flows.example.org",
        )
    return NotificationSettings(
        config=Path(config).absolute() if config else default_directory / CONFIG,
        needs_config=bool(config),
        public_url=public_url.rstrip("/") if public_url else None,
        heartbeat_url=heartbeat_url or None,
        ca_file=Path(ca_file).absolute() if ca_file else None,
        has_deployment_metrics=has_deployment_metrics,
    )


def _is_web_url(text: str) -> bool:
    try:
        return _URL.fullmatch(text) is not None and bool(urlsplit(text).hostname)
    except ValueError:
        return False
