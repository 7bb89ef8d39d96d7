"""Creates the executor of a cluster. Imported only by controllers that have one."""

import logging
from collections.abc import Callable, Mapping

from controller.clock import Clock
from controller.executor_settings import ExecutorSettings
from controller.model.runs import Run
from controller.runs.executors.local.supervisor import secret_values
from controller.runs.executors.ray.client import DashboardClient
from controller.runs.executors.ray.engine import RayEngine
from controller.runs.executors.remote.attempt_records import AttemptRecords
from controller.runs.executors.remote.executor import RemoteExecutor, RemoteSettings
from controller.runs.executors.remote.job_engine import JobEngine
from controller.runs.executors.remote.node_desk import NodeDesk
from controller.runs.executors.remote.packages import CodePackages
from controller.settings import Settings, secret_variables
from controller.sources.source import as_text
from controller.store import Store
from controller.store.state_directory import StateDirectory

log = logging.getLogger(__name__)


ENGINES: dict[str, Callable[[ExecutorSettings], JobEngine]] = {}
"""Further job engines than Ray, by the scheme of the address. Tests add one whose jobs are processes."""


def open_engine(settings: ExecutorSettings) -> JobEngine:
    """Return the job engine at the address of the settings. Raises UsageError."""
    assert settings.ray_address is not None
    other = ENGINES.get(settings.ray_address.partition(":")[0])
    if other is not None:
        return other(settings)
    return RayEngine(DashboardClient(settings.ray_address, settings.ray_token_file))


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
        records = AttemptRecords(store, clock)
        packages = CodePackages(state.path / "packages")
        if chosen.reaches_only_this_machine(settings.listen):
            log.warning("Only nodes on this machine can reach the controller", extra={"hint": "see --node-url"})
        self.desk = NodeDesk(
            records,
            packages,
            clock,
            runs_directory=state.runs,
            read_secrets=_read_secrets,
            node_secret=chosen.read_node_secret(),
        )
        self.executor = RemoteExecutor(
            open_engine(chosen),
            self.desk,
            packages,
            records,
            clock,
            RemoteSettings(
                directory=state.runs,
                node_url=chosen.find_node_url(settings.listen),
                grace=settings.grace,
                lost_after=chosen.lost_after,
                max_waiting=max(1, settings.max_running // 2),
                is_pinned=is_pinned,
                allows_source_builds=settings.uv.allows_source_builds,
                run_variables=run_variables,
            ),
        )


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
