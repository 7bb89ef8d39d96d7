"""Runs `controller` with the executor `ray` as its default one, by the parts that `controller.app` would create.

Each variable `RAY_TEST_…` is a setting of the parts, or how they fail.
"""

import os
import signal
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from controller.runs.executors.remote import decision_table

# A tenth of the usual times, before modules copy these values.
decision_table.SILENT_SECONDS = decision_table.LATE_REPORT_SECONDS = 3.0
decision_table.MISSING_SECONDS = 6.0

from controller.__main__ import main  # noqa: E402
from controller.api.http import application  # noqa: E402
from controller.app import controller as app  # noqa: E402
from controller.app.executors import LocalExecution  # noqa: E402
from controller.runs.executors.executor import Launchable  # noqa: E402
from controller.runs.executors.executor_set import ExecutorSet  # noqa: E402
from controller.runs.executors.local.users import FlowUser  # noqa: E402
from controller.runs.executors.ray.client import DashboardClient  # noqa: E402
from controller.runs.executors.ray.engine import RayEngine  # noqa: E402
from controller.runs.executors.remote import executor as remote_executor  # noqa: E402
from controller.runs.executors.remote import handle, seat  # noqa: E402
from controller.runs.executors.remote.attempt_records import AttemptRecords  # noqa: E402
from controller.runs.executors.remote.executor import RemoteExecutor, RemoteSettings  # noqa: E402
from controller.runs.executors.remote.job_engine import Job, JobResources  # noqa: E402
from controller.runs.executors.remote.node_desk import NodeDesk  # noqa: E402
from controller.runs.executors.remote.packages import CodePackages  # noqa: E402

VARIABLES = os.environ  # noqa: TID251
seat.BEAT_SECONDS = seat.LATER_BEAT_SECONDS = vars(remote_executor)["LATER_BEAT_SECONDS"] = 1
handle.STOP_SECONDS = 1.0


class Engine(RayEngine):
    """Dies after the first submission before it hears the answer, if the test requests it."""

    def submit(self, job: Job) -> str:
        session = super().submit(job)
        if VARIABLES.get("RAY_TEST_DIES") == "submitted":
            os.kill(os.getpid(), signal.SIGKILL)
        return session


class Controller(app.Controller):
    """A controller with a remote executor, which its engine uses for all deployments."""

    def _local_execution(self, user: FlowUser | None, open_files: int) -> LocalExecution:
        local = super()._local_execution(user, open_files)
        records = AttemptRecords(self._store, self._clock)
        packages = CodePackages(self.state.path / "packages")
        desk = NodeDesk(records, packages, self._clock, runs_directory=self.state.runs, read_secrets=_read_secrets)
        settings = RemoteSettings(
            directory=self.state.runs,
            node_url=f"http://{VARIABLES['CONTROLLER_LISTEN']}",
            grace=self._settings.grace,
            lost_after=timedelta(seconds=float(VARIABLES.get("RAY_TEST_LOST_AFTER", "3600"))),
        )
        engine = Engine(DashboardClient(VARIABLES["RAY_TEST_ADDRESS"], Path(VARIABLES["RAY_TEST_TOKEN_FILE"])))
        remote = RemoteExecutor(engine, desk, packages, records, self._clock, settings)
        vars(application)["make_application"] = partial(application.make_application, node_desk=desk)
        vars(app)["ExecutorSet"] = lambda executors: ExecutorSet([*executors, remote], default="ray")
        return local


def _resources(launchable: Launchable) -> JobResources:
    """Return what places the flows of some deployments on the second node."""
    custom = {"second": 0.1} if launchable.run.deployment.endswith("-second") else {}
    return JobResources(memory=launchable.deployment.resources.memory, custom=custom)


def _read_secrets(places: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    return {name: VARIABLES.get(place.get("env", "")) for name, place in places.items()}


if __name__ == "__main__":
    remote_executor._resources = _resources
    app.Controller = Controller  # type: ignore[misc]
    main()
