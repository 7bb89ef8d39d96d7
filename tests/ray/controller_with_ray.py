"""Runs `controller` with shorter times after which a silent runner is given up.

With `RAY_TEST_DIES=submitted`, it dies after the first submission, before it receives the answer.
"""

import os
import signal

from controller.runs.executors.remote import decision_table

# Before modules copy these values.
decision_table.SILENT_SECONDS = 3.0
decision_table.LATE_REPORT_SECONDS = decision_table.MISSING_SECONDS = 12.0

from controller.__main__ import main  # noqa: E402
from controller.runs.executors.ray.engine import RayEngine  # noqa: E402
from controller.runs.executors.remote import executor, handle, seat  # noqa: E402
from controller.runs.executors.remote.job_engine import Job  # noqa: E402

seat.BEAT_SECONDS = seat.LATER_BEAT_SECONDS = vars(executor)["LATER_BEAT_SECONDS"] = 1
handle.STOP_SECONDS = 1.0


def _submit_and_die(engine: RayEngine, job: Job) -> None:
    _submit(engine, job)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if os.environ.get("RAY_TEST_DIES") == "submitted":  # noqa: TID251
        _submit = RayEngine.submit
        RayEngine.submit = _submit_and_die  # type: ignore[assignment, method-assign]
    main()
