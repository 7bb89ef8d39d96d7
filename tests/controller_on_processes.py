"""Runs `controller` with the process engine as its cluster: `--ray-address process:DIRECTORY`.

Silent runners are given up sooner, and the engine looks after its runs more often than usually. Tests run this file and
do not import it, since it changes constants of the process.
"""

import os

import tests.short_times  # noqa: F401 - first
from controller.__main__ import main
from controller.app import cluster
from controller.runs import engine
from controller.runs.executors.remote import decision_table
from tests.process_cluster import open_cluster

if __name__ == "__main__":
    os.chdir("/")
    engine.TICK_SECONDS = 1.0
    decision_table.LATE_REPORT_SECONDS = 4.0
    cluster.ENGINES["process"] = open_cluster
    main()
