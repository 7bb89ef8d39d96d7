"""The process engine as the cluster of a controller, which deployments call `ray`."""

import sys
from pathlib import Path

from controller.executor_settings import ExecutorSettings
from tests.process_engine import ProcessEngine

PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


class Cluster(ProcessEngine):
    """The processes as a cluster that deployments call `ray`."""

    name = "ray"


def open_cluster(settings: ExecutorSettings) -> Cluster:
    """Return the engine in the directory that the settings name."""
    assert settings.ray_address is not None
    return Cluster(Path(settings.ray_address.partition(":")[2]), PATH)
