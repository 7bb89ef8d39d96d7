"""The explanations of the reasons of errors: of commands, of requests to the API, and of sources that can't be read.

Each row has a reason, a summary, the meaning, what to do, and the page.
"""

from controller.cli.formats.explained.recorded_reasons import Row

_ERRORS = "docs/api.md, section Errors"
_SECURITY = "docs/api.md, section Security"
_TOKEN = "docs/api.md, section The token"
_SOURCE = "docs/sources.md, section When a source can't be read"
_STATE = "docs/cli.md, section The state directory"
_STANDBY = "docs/scale.md, section Requests to a standby"
_SECRETS = "docs/notifications.md, section Secrets"
_REPEAT = "Repeat the request later."

ERRORS: tuple[Row, ...] = (
    ("Failed", "something could not be done", "The message says what.", "Follow the hint of the error.", _ERRORS),
    ("Usage", "the request is not valid", "An option, a parameter or a value is wrong.", "Correct it.", _ERRORS),
    (
        "Conflict",
        "the request conflicts with the current state",
        "For example, the run has ended already.",
        "Check the state of the object.",
        _ERRORS,
    ),
    ("NotFound", "there is no such object", "No deployment, run or file has this name.", "Check the name.", _ERRORS),
    (
        "Internal",
        "the controller has failed",
        "This is a bug. The log has the details.",
        "Report it, with the log.",
        _ERRORS,
    ),
    (
        "BadRequest",
        "the request is not valid HTTP",
        "The client has sent what the server can't read.",
        "Correct the client.",
        _ERRORS,
    ),
    (
        "Refused",
        "the server has refused the request",
        "The status of the answer says why.",
        "Correct the client.",
        _ERRORS,
    ),
    (
        "MethodNotAllowed",
        "the path does not have this method",
        "For example, webhooks accept only POST.",
        "Use another method.",
        _ERRORS,
    ),
    (
        "UnsupportedMediaType",
        "the body of the request is not JSON",
        "`Content-Type` must be `application/json`.",
        "Correct the client.",
        _ERRORS,
    ),
    (
        "TooLarge",
        "the request is too large",
        "Its head or its body is larger than the server allows.",
        "Write large inputs to a file, and pass its path.",
        _ERRORS,
    ),
    (
        "TooSlow",
        "the body of the request did not arrive in time",
        "The network or the client is too slow.",
        _REPEAT,
        _ERRORS,
    ),
    (
        "Disconnected",
        "the connection ended before the request",
        "The client has closed the connection.",
        _REPEAT,
        _ERRORS,
    ),
    ("TooManyConnections", "too many requests are in progress", "The answer is 503.", _REPEAT, _ERRORS),
    ("TooManyStreams", "too many streams are open", "The answer is 429.", "Close tabs of the dashboard.", _ERRORS),
    ("TooManyFailures", "too many requests had an invalid token", "The answer is 429.", "Correct the token.", _TOKEN),
    (
        "Unauthorized",
        "the request has no valid token",
        "The answer is 401. Nodes send a ticket instead.",
        "Send the token from the file `token` in the state directory.",
        _TOKEN,
    ),
    (
        "CrossSite",
        "the page of another site has sent the request",
        "Only pages of the dashboard may send changes.",
        "Use the token without cookies, or the dashboard.",
        _SECURITY,
    ),
    (
        "UnknownHost",
        "the controller does not know this host name",
        "The header `Host` names another host.",
        "Start the controller with `--public-host`.",
        _SECURITY,
    ),
    (
        "NoLeader",
        "no controller leads, or the standby can't reach the leader",
        (
            "The answer is 503. A change needs the "
            "leader, which has stopped or is being replaced, or serves no address that the standby reaches."
        ),
        (
            "Repeat the request after two seconds. If this does not pass, start all controllers with `--listen`, "
            "and with `--advertise` if needed."
        ),
        _STANDBY,
    ),
    (
        "DifferentTokens",
        "the leader has another token than the standby",
        "The answer is 502. The leader does not accept the requests that the standby forwards.",
        "Copy the file `token` from the state directory of one controller to the others, and restart them.",
        _STANDBY,
    ),
    (
        "NotReady",
        "the controller is not ready yet",
        "The first pass is not done, or an attempt on a node is not known yet.",
        "Wait. If this does not pass, see `controller status`.",
        "docs/operations.md, section Health checks",
    ),
    (
        "AlreadyRunning",
        "another controller runs",
        "Only one controller can use a state directory, or lead a project.",
        "Stop the other one, or use another `--state-dir`.",
        _STATE,
    ),
    (
        "NotRunning",
        "no controller runs",
        "The command needs a running controller.",
        "Start one with `controller run`.",
        _STATE,
    ),
    (
        "NoState",
        "there is no state",
        "No controller has ever run for this repository.",
        "Start one with `controller run`, or correct `--repo` or `--state-dir`.",
        _STATE,
    ),
    (
        "StateUnavailable",
        "the state can't be read or written",
        "The disk or the database server has a problem.",
        "Follow the hint of the error. `controller doctor` checks the state.",
        _STATE,
    ),
    (
        "StateLost",
        "the state is not the one that the controller opened",
        "Somebody has moved or replaced its files.",
        "Move them back, or restart the controller.",
        _STATE,
    ),
    (
        "Deposed",
        "another controller leads now",
        "This controller has become a standby.",
        "See `controller status` for the leader.",
        "docs/scale.md, section Standbys",
    ),
    (
        "Stopping",
        "the controller is stopping",
        "The operation was interrupted.",
        "Repeat it after the restart.",
        _ERRORS,
    ),
    (
        "ResourceShortage",
        "the machine is short of a resource",
        "For example, of memory or of processes.",
        "Free it. The controller continues by itself.",
        "docs/runs.md, section Shortages",
    ),
    (
        "SourceUnavailable",
        "the source can't be read",
        "Nothing is deleted because of this, and schedules keep firing.",
        "Follow the message.",
        _SOURCE,
    ),
    (
        "RepositoryNotFound",
        "there is no such repository",
        "Servers also say this to clients without access.",
        "Check the URL and the credentials.",
        _SOURCE,
    ),
    (
        "EmptyRepository",
        "the repository has no commit",
        "There is nothing to apply yet.",
        "Commit the deployments.",
        _SOURCE,
    ),
    (
        "RefNotFound",
        "there is no such branch, tag or commit",
        "It was deleted, or `--ref` is wrong.",
        "Correct `--ref`.",
        _SOURCE,
    ),
    (
        "PathNotFound",
        "no commit contains the path of the deployments",
        "`--path` is probably wrong.",
        "Correct `--path`.",
        _SOURCE,
    ),
    (
        "AuthenticationFailed",
        "the git server has rejected the credentials",
        "They are missing or wrong, or the server can't be verified.",
        "Check the credentials.",
        "docs/sources.md, section Credentials",
    ),
    (
        "Unreachable",
        "the git server can't be reached",
        "It does not answer, or has closed the connection.",
        "Check the network. The controller retries by itself.",
        _SOURCE,
    ),
    (
        "Timeout",
        "the git server did not answer in time",
        "The network or the server is too slow.",
        "Check both. The controller retries by itself.",
        _SOURCE,
    ),
    (
        "MissingResult",
        "the result of an upstream run has no such value",
        "A parameter names a key that the result does not have.",
        "Correct the parameter, or the result of the flow.",
        "docs/triggers.md, section Parameters from results",
    ),
    ("Misconfigured", "a channel can't be used", "Its settings are wrong.", "Correct notify.yaml.", _SECRETS),
    (
        "SecretMissing",
        "a secret can't be read",
        "The variable is not set, or the file can't be read.",
        "Set the variable and restart the controller, or create the file.",
        _SECRETS,
    ),
)
