"""The explanations of the reasons of errors: of commands, of API requests, and of sources that can't be read.

Each row has a reason, a summary, the meaning, the remedy, and the page of the documentation.
"""

from controller.cli.formats.explained.recorded_reasons import Row

_ERRORS = "docs/api.md, section Errors"
_SECURITY = "docs/api.md, section Security"
_TOKEN = "docs/api.md, section The token"
_SOURCE = "docs/sources.md, section When a source can't be read"
_STATE = "docs/cli.md, section The state directory"
_STANDBY = "docs/scale.md, section Requests to a standby"
_SECRETS = "docs/notifications.md, section Secrets"

ERRORS: tuple[Row, ...] = (
    (
        "Failed",
        "the operation failed",
        "No other reason fits. The error message says what failed.",
        "Follow the hint of the error, if it has one.",
        _ERRORS,
    ),
    (
        "Usage",
        "the request is not valid",
        "An option, a parameter or a value is invalid, or two options exclude each other.",
        "Correct what the message names.",
        _ERRORS,
    ),
    (
        "Conflict",
        "the request conflicts with the current state",
        "The request is valid, but not in this state. For example, a run that has not finished can't be retried.",
        "Check the state with `controller status` or `controller runs show ID`, and follow the hint.",
        _ERRORS,
    ),
    (
        "NotFound",
        "the name or id does not exist",
        "No deployment, run or file has the name or id that the request contains.",
        "Check the spelling. `controller deployments` and `controller runs` list what exists.",
        _ERRORS,
    ),
    (
        "Internal",
        "an unexpected error in the controller",
        "The request has failed because of a bug in controller. The log has the details.",
        "Report the bug, and attach the log.",
        _ERRORS,
    ),
    (
        "BadRequest",
        "the request is not valid HTTP",
        "The server can't parse the request, or it has both `Content-Length` and `Transfer-Encoding`.",
        "Correct the client, or the proxy in front of the controller.",
        _ERRORS,
    ),
    (
        "Refused",
        "the server has refused the request",
        "The status code of the response says why.",
        "Correct the request.",
        _ERRORS,
    ),
    (
        "MethodNotAllowed",
        "the path does not support this HTTP method",
        "For example, webhooks accept only POST.",
        "Use a method that the header `Allow` of the response names.",
        _ERRORS,
    ),
    (
        "UnsupportedMediaType",
        "the body of the request is not JSON",
        "The header `Content-Type` is missing, or is not `application/json`.",
        "Send JSON with `Content-Type: application/json`.",
        _ERRORS,
    ),
    (
        "TooLarge",
        "the request is too large",
        "The headers or the body are larger than the server allows.",
        "Write large inputs to a file, and pass its path as a parameter.",
        _ERRORS,
    ),
    (
        "TooSlow",
        "the body of the request did not arrive in time",
        "The network or the client is too slow. The status is 408.",
        "Send the request again. If it fails again, check the network and the client.",
        _ERRORS,
    ),
    (
        "Disconnected",
        "the connection ended before the request was complete",
        "The client, or a proxy, has closed the connection before the end of the body.",
        "Send the request again.",
        _ERRORS,
    ),
    (
        "TooManyConnections",
        "too many requests are in progress",
        "The server answers no further requests until some have ended. The status is 503.",
        "Send the request again after the seconds in the header `Retry-After`.",
        _ERRORS,
    ),
    (
        "TooManyStreams",
        "too many streams are open",
        "Each live page and each followed log keeps a stream open. The status is 429.",
        "Close tabs of the dashboard, or clients that follow events or logs.",
        _ERRORS,
    ),
    (
        "TooManyFailures",
        "too many requests had an invalid token",
        "A client keeps sending an invalid token. The status is 429.",
        "Find the client, and give it the token from the file `token` in the state directory.",
        _TOKEN,
    ),
    (
        "Unauthorized",
        "the request has no valid token",
        "The token is missing or wrong. The status is 401. Nodes of a cluster send a ticket instead of the token.",
        "Send `Authorization: Bearer TOKEN`, with the token from the file `token` in the state directory.",
        _TOKEN,
    ),
    (
        "CrossSite",
        "a browser sent the request for a page of another site",
        "Only pages of the dashboard may send changes, and browsers can't use the Unix socket. The status is 403.",
        "Use the dashboard: `controller login` prints a link. Let programs send the token, and no cookies.",
        _SECURITY,
    ),
    (
        "UnknownHost",
        "the controller does not know this host name",
        "The header `Host` has a name that the controller does not serve. The status is 421.",
        "Use another URL, or start the controller with `--public-host` and this name.",
        _SECURITY,
    ),
    (
        "NoLeader",
        "no controller leads, or the standby can't reach the leader",
        (
            "The request needs the leader, which has stopped, is being replaced, or has no address that the standby "
            "can reach. The status is 503."
        ),
        (
            "Send the request again after two seconds. If it keeps failing, start all controllers with `--listen`, "
            "and with `--advertise` if needed."
        ),
        _STANDBY,
    ),
    (
        "DifferentTokens",
        "the leader has another token than the standby",
        "The leader rejects the requests that the standby forwards. The status is 502.",
        "Copy the file `token` from the state directory of one controller to the others, and restart them.",
        _STANDBY,
    ),
    (
        "NotReady",
        "the controller is not ready yet",
        "The first pass has not ended, or the controller does not know the attempt of a node yet.",
        "Wait a minute. If the controller does not become ready, run `controller status`.",
        "docs/operations.md, section Health checks",
    ),
    (
        "AlreadyRunning",
        "another controller is running",
        "Only one controller can use a state directory, or lead a project.",
        "Stop the other controller, or use another `--state-dir`.",
        _STATE,
    ),
    (
        "NotRunning",
        "no controller is running",
        "The command needs a running controller, and none responds.",
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
        "The state directory, its disk or the database server has a problem.",
        "Follow the hint of the error. `controller doctor` checks the state.",
        _STATE,
    ),
    (
        "StateLost",
        "the state is no longer the one that the controller opened",
        "The state was moved, deleted or replaced while the controller used it.",
        "Move the state back, or restart the controller to use the current state.",
        _STATE,
    ),
    (
        "Deposed",
        "another controller leads now",
        "This controller can't write to the state any more, because another one has taken over.",
        "Nothing, if a standby took over as intended. `controller status` names the leader.",
        "docs/scale.md, section Standbys",
    ),
    (
        "Stopping",
        "the controller is stopping",
        "A stop signal or command has interrupted the operation.",
        "Repeat the operation when the controller runs again.",
        _ERRORS,
    ),
    (
        "ResourceShortage",
        "the machine is short of a resource",
        "Memory, processes, file descriptors or disk space are exhausted.",
        "Free what the message names. The controller retries by itself.",
        "docs/runs.md, section Shortages",
    ),
    (
        "SourceUnavailable",
        "the source can't be read",
        "The controller can't read the repository or the directory. It deletes nothing, and schedules keep firing.",
        "Correct what the message names.",
        _SOURCE,
    ),
    (
        "RepositoryNotFound",
        "the repository does not exist",
        "The path or the URL leads to no repository. Servers also report this to clients without access.",
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
        "the branch, tag or commit does not exist",
        "The ref was deleted, or `--ref` is wrong.",
        "Correct `--ref`, or push the branch or the tag again.",
        _SOURCE,
    ),
    (
        "PathNotFound",
        "the path of the deployments was never in the repository",
        (
            "No commit contains the path, or the path leads through a link. The controller deletes nothing because of "
            "this."
        ),
        "Correct `--path`, or commit a manifest there.",
        _SOURCE,
    ),
    (
        "AuthenticationFailed",
        "the git server has rejected the credentials",
        "The credentials are missing or wrong, or the identity of the server can't be verified.",
        "Correct the credentials, or add the key or the certificate of the server.",
        "docs/sources.md, section Credentials",
    ),
    (
        "Unreachable",
        "the git server can't be reached",
        "The server refuses connections, has closed the connection early, or its name can't be resolved.",
        "Check the network and the URL. The controller retries by itself.",
        _SOURCE,
    ),
    (
        "Timeout",
        "the git server did not respond in time",
        "The network or the server is too slow.",
        "Check the network and the server. The controller retries by itself.",
        _SOURCE,
    ),
    (
        "MissingResult",
        "the result of an upstream run lacks a value",
        "A parameter refers to a value that the result does not have, or the upstream deployment has no run.",
        "Correct the reference, or return the value in the result of the upstream flow.",
        "docs/triggers.md, section Parameters from results",
    ),
    (
        "MissingVariable",
        "an environment variable of a parameter has no value",
        "A parameter has `from: env.NAME`, and the variable is not allowed by the operator, not set, or not UTF-8.",
        "Start the controller with `--parameter-env NAME` and the variable, or pass a value for the parameter.",
        "docs/format.md, section Parameters",
    ),
    (
        "Misconfigured",
        "a channel can't be used",
        "The settings of the channel are not valid, so it sends no messages.",
        "Correct what the message names in `notify.yaml`.",
        _SECRETS,
    ),
    (
        "SecretMissing",
        "a secret can't be read",
        "The environment variable is not set, or the file is missing, empty, too large or unreadable.",
        "Set the variable and restart the controller, or correct the file.",
        _SECRETS,
    ),
)
