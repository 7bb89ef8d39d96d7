"""Creates the executors of flows. `controller.app.controller` calls it; only `app` knows which executors there are."""

import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from controller.clock import Clock
from controller.model.runs import Run
from controller.runs.executors.executor import Executor
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.local.cgroup_parent import own_group
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.python_servers import PythonServers
from controller.runs.executors.local.supervisor import flow_main
from controller.runs.executors.local.users import FlowUser, check_access, grant_traversal
from controller.runs.flow_environment import usable_bases
from controller.settings import Settings, flow_environment, secret_variables, temporary_bases
from controller.store import Store
from controller.store.state_directory import StateDirectory

if TYPE_CHECKING:
    from controller.app.cluster import ClusterExecution


class Execution:
    """All executors of a controller: `local`, and that of a `cluster` if the settings name one.

    `is_pinned`: flows run from commits and not from the working tree. `open_files`: the soft limit of open files of
    flows. `run_variables`: further variables of the flow of a run. Raises UsageError.
    """

    def __init__(
        self,
        settings: Settings,
        state: StateDirectory,
        store: Store,
        clock: Clock,
        user: FlowUser | None,
        *,
        is_pinned: bool,
        open_files: int,
        run_variables: Callable[[Run], Mapping[str, str]],
    ) -> None:
        self.local = LocalExecution(
            settings, state, clock, user, is_pinned=is_pinned, open_files=open_files, run_variables=run_variables
        )
        self.cluster: ClusterExecution | None = None
        executors: list[Executor] = [self.local.executor]
        if settings.executors.has_cluster:
            from controller.app import cluster

            self.cluster = cluster.ClusterExecution(
                settings, state, store, clock, is_pinned=is_pinned, run_variables=run_variables
            )
            executors.append(self.cluster.executor)
        self.executors = ExecutorSet(executors, settings.executors.default)


class LocalExecution:
    """The local executor of a controller, with the fork servers that it uses.

    See `Execution` for the arguments. Raises UsageError if `user` can't read the code.
    """

    def __init__(
        self,
        settings: Settings,
        state: StateDirectory,
        clock: Clock,
        user: FlowUser | None,
        *,
        is_pinned: bool,
        open_files: int,
        run_variables: Callable[[Run], Mapping[str, str]],
    ) -> None:
        environment = flow_environment()
        if user is not None:
            environment = {**environment, **user.environment}
            code = [] if is_pinned else [settings.location.directory / "any"]
            check_access(user, state.path, Path(sys.executable).resolve(), Path(flow_main.__file__), *code)
            state.python.mkdir(exist_ok=True)
            grant_traversal(user, state.path, state.runs, state.python)
        self.user = user
        self.python_servers = PythonServers(environment, clock)
        launcher = Launcher(
            directory=state.runs,
            environment=environment,
            grace=settings.grace,
            variables=secret_variables(),
            group=own_group(),
            user=user,
            server=ForkServer(environment, clock),
            python_servers=self.python_servers,
            open_files=open_files,
            temporary_bases=usable_bases(temporary_bases(), user),
            run_variables=run_variables,
            place=None if isinstance(state.database, Path) else place_of(state),
        )
        self.executor = LocalExecutor(launcher)


def place_of(state: StateDirectory) -> str:
    """Return the place of the runs of this controller, if controllers on several hosts share the state."""
    return f"{socket.gethostname()}:{state.runs}"
