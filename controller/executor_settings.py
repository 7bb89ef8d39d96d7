"""The settings of executors: where flows run, and how the nodes of a cluster reach the controller."""

import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from controller.errors import UsageError
from controller.listen_settings import Listen
from controller.records import dataclass

LOCAL, RAY = "local", "ray"
LOST_AFTER = timedelta(hours=1)
_MIN_SECRET_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """Where flows run.

    - `default`: the executor of deployments that name none.
    - `ray_address`: the URL of the dashboard of a Ray cluster, None without one; `ray_token_file`: its token.
    - `lost_after`: after how long without an answer of the cluster a run is given up; None: never.
    - `node_secret_file`: what nodes must know to get the secrets of flows.
    - `node_url`: where nodes reach the controller. `node_listen`: an address only for them; None: that of the API.
    """

    default: str = LOCAL
    ray_address: str | None = None
    ray_token_file: Path | None = None
    lost_after: timedelta | None = LOST_AFTER
    node_secret_file: Path | None = None
    node_url: str | None = None
    node_listen: Listen | None = None

    @property
    def has_cluster(self) -> bool:
        """Whether flows can run on a cluster."""
        return self.ray_address is not None

    def find_node_url(self, listen: Listen | None) -> str:
        """Return the URL under which nodes reach the controller. `listen` is the address of the API."""
        address = self.node_listen or listen
        if self.node_url is not None or address is None:
            return self.node_url or ""
        return (replace(address, host=socket.getfqdn()) if address.host in ("0.0.0.0", "::") else address).url

    def reaches_only_this_machine(self, listen: Listen | None) -> bool:
        """Return whether nodes on other machines can't reach the controller."""
        address = self.node_listen or listen
        return self.node_url is None and address is not None and address.is_loopback

    def node_hosts(self, listen: Listen | None) -> frozenset[str]:
        """Return the values of the `Host` header that requests to the URL for nodes have."""
        parts = urlsplit(self.find_node_url(listen))
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        standard = 443 if parts.scheme == "https" else 80
        port = parts.port or standard
        return frozenset({f"{host}:{port}"} | ({host} if port == standard else set()))

    def read_node_secret(self) -> bytes | None:
        """Return what nodes must know, if anything. Raises UsageError."""
        file = self.node_secret_file
        if file is None:
            return None
        try:
            secret = file.read_bytes().strip()
        except OSError as error:
            raise UsageError(f"--node-secret-file {file}: {error.strerror}.") from error
        if len(secret) < _MIN_SECRET_BYTES:
            raise UsageError(
                f"--node-secret-file {file}: the secret is too short.",
                hint=f"Write at least {_MIN_SECRET_BYTES} random bytes, for example with: openssl rand -hex 32",
            )
        return secret


def check_executors(settings: ExecutorSettings, listen: Listen | None, *, working_tree: bool) -> ExecutorSettings:
    """Return the settings with the URL for nodes. Raises UsageError if they contradict each other.

    `listen` is the address of the API.
    """
    if settings.default != LOCAL and not settings.has_cluster:
        raise UsageError(
            f"--executor {settings.default} needs --ray-address.",
            hint="Add the address of Ray's dashboard, for example --ray-address http://10.0.0.5:8265.",
        )
    if not settings.has_cluster:
        _refuse_options_of_a_cluster(settings)
        return settings
    if working_tree:
        raise UsageError(
            "--ray-address cannot be combined with --working-tree: a cluster runs only committed code.",
            hint="Commit the files, and omit --working-tree.",
        )
    address = settings.node_listen or listen
    if settings.node_url is None and address is None:
        raise UsageError(
            "The nodes of the cluster can't reach this controller: it serves no HTTP.",
            hint="Add --node-listen HOST:PORT, or --listen HOST:PORT.",
        )
    if settings.node_url is None and address is not None and address.is_behind_proxy:
        raise UsageError(
            "--behind-proxy: the nodes of the cluster need the URL of the proxy.",
            hint="Add --node-url, for example --node-url https://controller.example.org.",
        )
    if settings.node_url is not None:
        _check_url(settings.node_url)
    return settings


def _refuse_options_of_a_cluster(settings: ExecutorSettings) -> None:
    """Raise UsageError for options that have no effect without a cluster."""
    given = {
        "--ray-token-file": settings.ray_token_file,
        "--node-url": settings.node_url,
        "--node-listen": settings.node_listen,
        "--node-secret-file": settings.node_secret_file,
    }
    for option, value in given.items():
        if value is not None:
            raise UsageError(
                f"{option} needs --ray-address.",
                hint="Add the address of Ray's dashboard, for example --ray-address http://10.0.0.5:8265.",
            )


def _check_url(url: str) -> None:
    """Raise UsageError for an address that runners can't use."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or parts.username or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise UsageError(
            f"--node-url {url}: expected an http(s) URL without user, query and fragment.",
            hint="For example: --node-url http://10.0.0.5:4200",
        )
