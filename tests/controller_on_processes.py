"""Runs `controller` with the process engine as its cluster: `--ray-address process:DIRECTORY`.

Silent runners are given up sooner, and the engine looks after its runs more often than usually.
"""

import os
import sys
from pathlib import Path

import tests.short_times  # noqa: F401 - first
from controller.__main__ import main
from controller.app import cluster
from controller.executor_settings import ExecutorSettings
from controller.runs import engine
from controller.runs.executors.remote import decision_table
from tests.process_engine import ProcessEngine

PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


class Cluster(ProcessEngine):
    """The processes as a cluster that deployments call `ray`."""

    name = "ray"


def open_cluster(settings: ExecutorSettings) -> Cluster:
    """Return the engine in the directory that the settings name."""
    assert settings.ray_address is not None
    return Cluster(Path(settings.ray_address.partition(":")[2]), PATH)


if __name__ == "__main__":
    os.chdir("/")
    engine.TICK_SECONDS = 1.0
    decision_table.LATE_REPORT_SECONDS = 4.0
    cluster.ENGINES["process"] = open_cluster
    main()
