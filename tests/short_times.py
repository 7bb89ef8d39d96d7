"""Sets shorter times after which a silent runner is given up. Import it before anything else of controller."""

from controller.runs.executors.remote import decision_table

# Before modules copy these values.
decision_table.SILENT_SECONDS = 3.0
decision_table.LATE_REPORT_SECONDS = decision_table.MISSING_SECONDS = 12.0

from controller.runs.executors.remote import executor, handle, seat  # noqa: E402

seat.BEAT_SECONDS = seat.LATER_BEAT_SECONDS = vars(executor)["LATER_BEAT_SECONDS"] = 1
assert seat.Seat.__init__.__kwdefaults__ is not None
seat.Seat.__init__.__kwdefaults__["beat_seconds"] = seat.BEAT_SECONDS
handle.STOP_SECONDS = 1.0
executor.RemoteExecutor.launch_pause = 0.0
