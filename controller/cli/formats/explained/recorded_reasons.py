"""The explanations of further reasons of conditions and events: of the source, Python environments and operators.

Each row has a reason, a summary, the meaning, the remedy, and the page of the documentation.
"""

_CONDITIONS = "docs/reconcile.md, section Conditions"
_LOCAL = "docs/reconcile.md, section Errors stay local"
_DELETIONS = "docs/reconcile.md, section Deletions"
_HOLD = "docs/reconcile.md, section Suspend and hold"
_SOURCE = "docs/sources.md, section When a source can't be read"
_PYTHON = "docs/python.md, section When a change becomes active"
_RUNS = "docs/runs.md, section States"
_AGAIN = "docs/runs.md, section Running it again"
_STATE = "docs/cli.md, section The state directory"
_CLUSTERS = "docs/clusters.md, section Whether the cluster answers"
_NOTHING = "You don't have to do anything."
_RUN = "Read the log with `controller runs logs ID`. Run it again with `controller runs retry ID`."
Row = tuple[str, str, str, str, str]

CONDITIONS: tuple[Row, ...] = (
    ("Applied", "the current revision is applied", "Everything that git declares is active.", _NOTHING, _CONDITIONS),
    (
        "DeletionGuard",
        "deletions wait for approval",
        "A commit deletes more deployments at once than the deletion guard allows.",
        "Check `controller plan`. Approve the deletions with `controller approve DIGEST`, or revert the commit.",
        _DELETIONS,
    ),
    (
        "ProgressingWithRetry",
        "the source can't be read; the controller retries",
        "The last attempt to read the source has failed. The condition `Ready` has the cause.",
        "Remove the cause. The controller retries by itself.",
        _SOURCE,
    ),
    (
        "Local",
        "flows run on the machine of the controller",
        "The executor that starts flows on this machine is always ready.",
        _NOTHING,
        _CLUSTERS,
    ),
    (
        "Building",
        "a Python environment is being built",
        "uv is installing the packages of the deployment. Runs that need them wait.",
        "Wait until the build has ended. `controller python list` shows its state.",
        _PYTHON,
    ),
    (
        "BuildFailed",
        "a Python environment can't be built",
        "uv could not install the packages. The message quotes its error.",
        "Correct what the message names. `controller python show NAME` prints the whole log.",
        _PYTHON,
    ),
    (
        "ResolveFailed",
        "the required packages can't be determined",
        "No set of packages satisfies the requirements, or the requirements or the lock can't be read.",
        "Correct them, and check with `controller validate --resolve`.",
        _PYTHON,
    ),
    (
        "IndexUnreachable",
        "the package index can't be reached",
        "The index did not respond, or has rejected the credentials.",
        "Check the network, and the credentials in the `UV_…` variables of the controller. It retries by itself.",
        _PYTHON,
    ),
    (
        "NotInCache",
        "a package is not in the cache of uv",
        "`UV_OFFLINE` is set, so uv uses only its cache.",
        "Build the environment once with network access.",
        _PYTHON,
    ),
    (
        "InterpreterNotAllowed",
        "the controller does not allow the interpreter",
        "The deployment names an interpreter that `--allow-interpreter` does not include.",
        "Start the controller with `--allow-interpreter` and this path, or correct `interpreter`.",
        _PYTHON,
    ),
    (
        "InterpreterNotFound",
        "the Python interpreter does not exist",
        "This machine has no working interpreter at the path, or with the version, that the deployment names.",
        "Install it, or correct `python` in the deployment. controller downloads no interpreters.",
        _PYTHON,
    ),
    (
        "PythonTooOld",
        "the interpreter is too old",
        "Flows need a newer version of Python than that of the interpreter.",
        "Name a newer interpreter or version in the deployment.",
        _PYTHON,
    ),
    (
        "UvNotFound",
        "uv is missing",
        "The program uv, which builds Python environments, is not installed or does not work.",
        "Install uv, or correct `--uv`.",
        _PYTHON,
    ),
    (
        "Removed",
        "an unused Python environment was removed",
        "Nothing used the Python environment, so its files were removed. They are built again for the next run.",
        _NOTHING,
        _PYTHON,
    ),
    (
        "Replaced",
        "no deployment uses the Python environment any more",
        "Its deployments use another Python environment now. The controller removes this one when no run needs it.",
        _NOTHING,
        _PYTHON,
    ),
)
EVENTS: tuple[Row, ...] = (
    ("Created", "a deployment is new", "Git declares a new deployment.", _NOTHING, _LOCAL),
    (
        "Updated",
        "a deployment has changed",
        "Git declares a new version of the deployment, and it is active.",
        _NOTHING,
        _LOCAL,
    ),
    ("Renamed", "a deployment was renamed", "The deployment keeps its history under a new name.", _NOTHING, _LOCAL),
    (
        "RenamedFromUnknown",
        "`renamed_from` names an unknown deployment",
        "The controller knows no deployment with the old name, so the new one begins without history.",
        "Correct `renamed_from`, or remove it.",
        _LOCAL,
    ),
    (
        "Recovered",
        "a deployment is valid again",
        "The errors in its file are corrected, and the new version is active.",
        _NOTHING,
        _LOCAL,
    ),
    (
        "Pruned",
        "a deployment was deleted",
        "Git no longer declares the deployment, or not for this environment.",
        "To undo this, commit the document that `controller restore NAME` prints.",
        _DELETIONS,
    ),
    (
        "PruneApproved",
        "an operator approved deletions",
        "The next pass deletes the deployments that the message names.",
        _NOTHING,
        _DELETIONS,
    ),
    (
        "Drift",
        "a scheduled job did not match its deployment",
        "The controller has repaired the job. A difference points to a bug.",
        "Report it if it happens again.",
        "docs/reconcile.md, section Drift",
    ),
    (
        "HistoryRewritten",
        "the history of the branch was rewritten",
        "A force push has replaced commits that were applied. The controller follows the new history.",
        "Make sure that the force push was intended.",
        _CONDITIONS,
    ),
    (
        "WatchingFailed",
        "file changes are detected by polling only",
        "The system does not report file changes, for example because its limit of watches is reached.",
        "Remove the cause in the message, or shorten `--interval`.",
        "docs/sources.md, section Local repositories",
    ),
    (
        "Watching",
        "file changes are detected at once again",
        "The system reports file changes again.",
        _NOTHING,
        "docs/sources.md, section Local repositories",
    ),
    (
        "PythonReady",
        "a Python environment is ready",
        "The packages of the deployment are installed, and its runs can start.",
        _NOTHING,
        _PYTHON,
    ),
    (
        "Held",
        "an operator held a deployment",
        "Its schedules start no runs.",
        "End the hold with `controller resume NAME`.",
        _HOLD,
    ),
    ("Resumed", "an operator ended a hold", "The schedules of the deployment start runs again.", _NOTHING, _HOLD),
    ("HoldExpired", "a hold has expired", "The schedules of the deployment start runs again.", _NOTHING, _HOLD),
    ("Triggered", "a user or a webhook started a run", "The message says who it was.", _NOTHING, _RUNS),
    ("Retried", "a user retried a finished run", "The message says who it was.", _NOTHING, _AGAIN),
    ("CancelRequested", "a user cancelled a run", "The message says who it was.", _NOTHING, _RUNS),
    ("Backfill", "a user started a backfill", "The backfill creates runs for past due times.", _NOTHING, _AGAIN),
    (
        "BackfillPaused",
        "a user paused a backfill",
        "The backfill creates no runs until it is resumed.",
        "Resume it with `controller backfills resume ID`.",
        _AGAIN,
    ),
    ("BackfillResumed", "a user resumed a backfill", "The backfill creates runs again.", _NOTHING, _AGAIN),
    ("BackfillSucceeded", "a backfill has succeeded", "Runs of all its due times have succeeded.", _NOTHING, _AGAIN),
    (
        "BackfillFailed",
        "a backfill has ended with failures",
        "All its due times have finished, and at least one of them did not succeed.",
        "`controller backfills show ID` has the failed runs. `controller runs retry --backfill ID` retries them.",
        _AGAIN,
    ),
    ("BackfillCancelled", "a user cancelled a backfill", "The backfill creates no more runs.", _NOTHING, _AGAIN),
    (
        "RunFailed",
        "a run has failed",
        "The flow raised an exception, exited with an error, or could not be launched.",
        _RUN,
        _RUNS,
    ),
    (
        "RunTimedOut",
        "a run has timed out",
        "The flow ran longer than `timeout`, so the controller stopped it.",
        _RUN,
        _RUNS,
    ),
    (
        "RunCrashed",
        "a run has crashed",
        "The flow was killed, or the controller does not know how it ended.",
        _RUN,
        _RUNS,
    ),
    ("RunCancelled", "a run was cancelled", "The message says who or what cancelled it.", _NOTHING, _RUNS),
    ("RunSkipped", "a run was skipped", "The message has the reason.", "See `controller explain REASON`.", _RUNS),
    (
        "RunRetrying",
        "an attempt failed, and the run is retried",
        "`retries` of the deployment allows another attempt, which starts after the delay.",
        _NOTHING,
        "docs/runs.md, section Retries",
    ),
    (
        "ClockJumped",
        "the clock of the machine was set",
        "The system clock was changed by more than its normal drift. Due times follow the new time.",
        "Check the time synchronization of the machine.",
        "docs/runs.md, section The clock",
    ),
    (
        "StorageRecovered",
        "the state can be written again",
        "The disk of the state directory was full, and has free space again.",
        _NOTHING,
        "docs/runs.md, section Shortages",
    ),
    (
        "StateAdopted",
        "the state of another repository was taken over",
        "The controller was started with `--adopt-state`, and uses the state for its repository from now on.",
        _NOTHING,
        _STATE,
    ),
    (
        "StateMoved",
        "the repository was moved",
        "The repository is in another directory than before. Its state and history stay.",
        _NOTHING,
        _STATE,
    ),
)
