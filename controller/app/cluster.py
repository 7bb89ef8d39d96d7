"""Creates the executor of a cluster. Imported only by controllers that have one."""

import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from controller.clock import Clock
from controller.listen_address import Listen
from controller.model.runs import Run
from controller.runs.executors.local.supervisor import secret_values
from controller.runs.executors.ray.client import DashboardClient
from controller.runs.executors.ray.engine import RayEngine
from controller.runs.executors.remote.attempt_records import AttemptRecords
from controller.runs.executors.remote.executor import RemoteExecutor, RemoteSettings
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.packages import CodePackages
from controller.settings import Settings, secret_variables
from controller.sources.source import as_text
from controller.store import Store
from controller.store.state_directory import StateDirectory

log = logging.getLogger(__name__)


class ClusterExecution:
    """The executor of a Ray cluster, with the desk for the requests of its nodes. Raises UsageError.

    `is_pinned`: flows run from commits. `run_variables`: further variables of the flow of a run.
    """

    def __init__(
        self,
        settings: Settings,
        state: StateDirectory,
        store: Store,
        clock: Clock,
        *,
        is_pinned: bool,
        run_variables: Callable[[Run], Mapping[str, str]],
    ) -> None:
        chosen = settings.executors
        assert chosen.ray_address is not None
        records = AttemptRecords(store, clock)
        packages = CodePackages(state.path / "packages")
        self.node_url = chosen.node_url or _url_of(chosen.node_listen or settings.listen)
        self.desk = NodeDesk(
            records,
            packages,
            clock,
            runs_directory=state.runs,
            read_secrets=_read_secrets,
            node_secret=chosen.read_node_secret(),
        )
        self.executor = RemoteExecutor(
            RayEngine(DashboardClient(chosen.ray_address, chosen.ray_token_file)),
            self.desk,
            packages,
            records,
            clock,
            RemoteSettings(
                directory=state.runs,
                node_url=self.node_url,
                grace=settings.grace,
                lost_after=chosen.lost_after,
                is_pinned=is_pinned,
                allows_source_builds=settings.uv.allows_source_builds,
                run_variables=run_variables,
            ),
        )

    @property
    def hosts(self) -> frozenset[str]:
        """The values of the `Host` header that requests to the URL for nodes have."""
        parts = urlsplit(self.node_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        standard = 443 if parts.scheme == "https" else 80
        port = parts.port or standard
        return frozenset({f"{host}:{port}"} | ({host} if port == standard else set()))


def _url_of(listen: Listen | None) -> str:
    """Return the URL under which nodes reach this address, unless the operator gives another one."""
    assert listen is not None, "the settings were checked"
    if listen.is_loopback:
        log.warning("Only nodes on this machine can reach the controller", extra={"hint": "see --node-url"})
    if listen.host in ("0.0.0.0", "::"):
        return replace(listen, host=socket.getfqdn()).url
    return listen.url


def _read_secrets(places: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    """Return the values of secrets of a flow; None for one that is not available."""
    values: dict[str, str | None] = {}
    variables = secret_variables()
    for name, place in places.items():
        value = variables.get(place.get("env", ""))
        received = None if value is None else as_text(value)
        try:
            values.update(secret_values.resolve({name: dict(place)}, {name: received}))
        except secret_values.SecretError:
            values[name] = None
    return values
