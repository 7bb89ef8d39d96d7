"""Runs `controller` with shorter times after which a silent runner is given up.

With `RAY_TEST_DIES=submitted`, it dies after the first submission, before it receives the answer.
"""

import os
import signal

import tests.short_times  # noqa: F401 - first
from controller.__main__ import main
from controller.runs.executors.ray.engine import RayEngine
from controller.runs.executors.remote.job_engine import Job


def _submit_and_die(engine: RayEngine, job: Job) -> None:
    _submit(engine, job)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if os.environ.get("RAY_TEST_DIES") == "submitted":  # noqa: TID251
        _submit = RayEngine.submit
        RayEngine.submit = _submit_and_die  # type: ignore[assignment, method-assign]
    main()
