"""Connects the running parts of the controller with the metrics that show their statistics."""

from dataclasses import replace

from controller.api.metrics.parts import RunningParts
from controller.app.notifications import Notifications
from controller.model.python_environments import PythonStatistics
from controller.python_environments import PythonEnvironments
from controller.python_specs import RenderedSource
from controller.reconcile.loop import Loop
from controller.runs.engine import Engine
from controller.runs.executors.local.python_servers import PythonServers


def running_parts(
    loop: Loop,
    engine: Engine,
    python: PythonEnvironments,
    python_servers: PythonServers,
    source: RenderedSource,
    notifications: Notifications,
    *,
    has_deployment_series: bool,
) -> RunningParts:
    """Return the statistics of these parts."""

    def python_statistics() -> PythonStatistics:
        return replace(python.statistics, fork_servers=python_servers.count())

    return RunningParts(
        passes=loop.statistics,
        runs=engine.statistics,
        python=python_statistics,
        deliveries=notifications.delivery.statistics,
        oldest_due=notifications.delivery.oldest_due,
        git_requests=source.git_requests,
        has_deployment_series=has_deployment_series,
    )
