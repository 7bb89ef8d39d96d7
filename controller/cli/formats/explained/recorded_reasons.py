"""The explanations of further reasons of conditions and events: of the source, Python environments and operators.

Each row has a reason, a summary, the meaning, what to do, and the page.
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
_NOTHING = "Nothing has to be done."
_RUN = "See its log with `controller runs logs ID`, and run it again with `controller runs retry ID`."
Row = tuple[str, str, str, str, str]

CONDITIONS: tuple[Row, ...] = (
    ("Applied", "the current revision is applied", "Git and the controller agree.", _NOTHING, _CONDITIONS),
    (
        "DeletionGuard",
        "deletions wait for approval",
        "A commit deletes more deployments at once than the deletion guard allows.",
        "Check `controller plan`, then use `controller approve DIGEST`; or commit the documents again.",
        _DELETIONS,
    ),
    (
        "ProgressingWithRetry",
        "the source can't be read, and is read again",
        "Reading the source has failed. The condition `Ready` has the cause.",
        "Remove the cause. The controller retries by itself.",
        _SOURCE,
    ),
    (
        "Local",
        "flows run on the machine of the controller",
        "The local executor is always ready.",
        _NOTHING,
        _CLUSTERS,
    ),
    (
        "Building",
        "a Python environment is being built",
        "The packages of the deployment are being installed. Runs that need them wait.",
        "Wait, or see the progress with `controller python list`.",
        _PYTHON,
    ),
    (
        "BuildFailed",
        "a Python environment can't be built",
        "Installing the packages has failed. The message has the words of uv.",
        "Correct what the message names. `controller python show NAME` has the whole log.",
        _PYTHON,
    ),
    (
        "ResolveFailed",
        "no set of packages fulfils the requirements",
        "The requirements or the lock can't be resolved, or can't be read.",
        "Correct them, and check with `controller validate --resolve`.",
        _PYTHON,
    ),
    (
        "IndexUnreachable",
        "the package index can't be reached",
        "The index did not answer, or it has rejected the credentials.",
        "Check the network, and the `UV_…` variables of the controller. It retries by itself.",
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
        "The deployment names an interpreter that no `--allow-interpreter` allows.",
        "Start the controller with `--allow-interpreter`, or correct the path.",
        _PYTHON,
    ),
    (
        "InterpreterNotFound",
        "there is no such interpreter",
        "The interpreter or the version of Python that the deployment names is not on this machine.",
        "Install it, or correct `python`.",
        _PYTHON,
    ),
    (
        "PythonTooOld",
        "the interpreter is too old",
        "The interpreter of the deployment is older than the versions that controller supports.",
        "Name a newer one.",
        _PYTHON,
    ),
    (
        "UvNotFound",
        "uv is missing",
        "The program uv is not installed, or does not work.",
        "Install uv, or correct `--uv`.",
        _PYTHON,
    ),
    (
        "Removed",
        "an unused Python environment was removed",
        "Nothing used the Python environment, so it was removed. It is built again when a run needs it.",
        _NOTHING,
        _PYTHON,
    ),
    (
        "Replaced",
        "a Python environment is built again",
        "The Python environment was incomplete or was changed, so it is built again.",
        _NOTHING,
        _PYTHON,
    ),
)
EVENTS: tuple[Row, ...] = (
    ("Created", "a deployment is new", "Git declares a new deployment.", _NOTHING, _LOCAL),
    ("Updated", "a deployment has changed", "A new version of the deployment is active.", _NOTHING, _LOCAL),
    ("Renamed", "a deployment was renamed", "The deployment keeps its history under a new name.", _NOTHING, _LOCAL),
    (
        "RenamedFromUnknown",
        "there is no deployment with the old name",
        "`renamed_from` names a deployment that the controller does not know, so the new one begins without history.",
        "Correct `renamed_from`, or remove it.",
        _LOCAL,
    ),
    ("Recovered", "a deployment is valid again", "Its file had errors, and has none now.", _NOTHING, _LOCAL),
    (
        "Pruned",
        "a deployment was deleted",
        "Git no longer declares the deployment.",
        "To undo this, use `controller restore NAME`.",
        _DELETIONS,
    ),
    ("PruneApproved", "an operator approved deletions", "The deployments are deleted.", _NOTHING, _DELETIONS),
    (
        "Drift",
        "a scheduled job did not match its deployment",
        "The controller has repaired the job. This points to a bug.",
        "Report it if it happens again.",
        "docs/reconcile.md, section Drift",
    ),
    (
        "HistoryRewritten",
        "the history of the branch was rewritten",
        "A force push has replaced commits that were applied. The new history is followed.",
        "Check that nobody did this by mistake.",
        _CONDITIONS,
    ),
    (
        "WatchingFailed",
        "changes of files are only noticed by polling",
        "The system does not report changes, for example because its limit of watches is reached.",
        "Remove the cause in the message, or shorten `--interval`.",
        "docs/sources.md, section Local repositories",
    ),
    (
        "Watching",
        "changes of files are noticed at once again",
        "Watching for changes works again.",
        _NOTHING,
        "docs/sources.md, section Local repositories",
    ),
    (
        "PythonReady",
        "a Python environment is ready",
        "The packages of the deployment are installed.",
        _NOTHING,
        _PYTHON,
    ),
    (
        "Held",
        "an operator held a deployment",
        "Its schedules start no runs.",
        "End this with `controller resume NAME`.",
        _HOLD,
    ),
    ("Resumed", "an operator ended a hold", "The schedules of the deployment start runs again.", _NOTHING, _HOLD),
    ("HoldExpired", "a hold has expired", "The schedules of the deployment start runs again.", _NOTHING, _HOLD),
    ("Triggered", "somebody or a webhook started a run", "The message has the author.", _NOTHING, _RUNS),
    ("Retried", "somebody requested a run again", "The message has the author.", _NOTHING, _AGAIN),
    ("CancelRequested", "somebody cancelled a run", "The message has the author.", _NOTHING, _RUNS),
    ("Backfill", "somebody started a backfill", "Runs for past due times are created.", _NOTHING, _AGAIN),
    (
        "BackfillPaused",
        "somebody paused a backfill",
        "It creates no runs until it continues.",
        "Use `controller backfills resume ID`.",
        _AGAIN,
    ),
    ("BackfillResumed", "somebody resumed a backfill", "It creates runs again.", _NOTHING, _AGAIN),
    ("BackfillCancelled", "somebody cancelled a backfill", "It creates no further runs.", _NOTHING, _AGAIN),
    (
        "RunFailed",
        "a run has failed",
        "The flow raised an exception or exited with an error, or it was not launched.",
        _RUN,
        _RUNS,
    ),
    ("RunTimedOut", "a run has timed out", "The flow ran longer than `timeout`, and was stopped.", _RUN, _RUNS),
    ("RunCrashed", "a run has crashed", "The flow was killed, or how it ended is unknown.", _RUN, _RUNS),
    ("RunCancelled", "a run was cancelled", "The message says by whom or by what.", _NOTHING, _RUNS),
    ("RunSkipped", "a run was skipped", "The message has the reason.", "See `controller explain REASON`.", _RUNS),
    (
        "RunRetrying",
        "an attempt of a run has failed, and another one follows",
        "`retries` of the deployment allows another attempt.",
        _NOTHING,
        "docs/runs.md, section Retries",
    ),
    (
        "ClockJumped",
        "the clock of the machine was set",
        "Due times follow the new time.",
        "Check the time synchronization of the machine.",
        "docs/runs.md, section The clock",
    ),
    (
        "StorageRecovered",
        "the state can be written again",
        "The disk was full, and is not any more.",
        _NOTHING,
        "docs/runs.md, section Shortages",
    ),
    (
        "StateAdopted",
        "the state of another repository was taken over",
        "The controller was started with `--adopt-state`.",
        _NOTHING,
        _STATE,
    ),
    ("StateMoved", "the repository was moved", "The repository is in another directory than before.", _NOTHING, _STATE),
)
