"""Git's configuration and environment for connections to a server, and the errors that result. Called by `remote`.

Only the scheme of the URL is allowed, credentials never appear on a command line, and all commands have timeouts. Error
messages of servers and of ssh become SourceError subclasses, whose reasons users can alert on.
"""

import re
from collections.abc import Callable
from datetime import timedelta

from controller.errors import (
    AuthenticationError,
    RefNotFoundError,
    RepositoryNotFoundError,
    SourceError,
    SourceTimeoutError,
    UnreachableError,
)
from controller.records import dataclass
from controller.remotes import Access, RemoteUrl
from controller.sources.git.commands import GitError, GitTimeoutError, reason

_SSH = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes"
    " -oConnectTimeout=15 -oServerAliveInterval=10 -oServerAliveCountMax=3"
    " -oClearAllForwardings=yes -oForwardAgent=no -oPermitLocalCommand=no -oControlMaster=no -oControlPath=none"
)
# The helper is constant; it prints the credentials from its environment, which only this user can read.
_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    'printf \'username=%s\\npassword=%s\\n\' "$CONTROLLER_GIT_USERNAME" "$CONTROLLER_GIT_PASSWORD"; }; f'
)
_ADVICE = (
    "; Could not read from remote repository.",
    "; Please make sure you have the correct access rights",
    "; and the repository exists",
)
_SETTINGS = {
    "protocol.allow": "never",
    "transfer.fsckObjects": "true",
    # Harmless errors in commits of old tools. An operator can't correct them in a published history.
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "transfer.bundleURI": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "submodule.recurse": "false",
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "credential.helper": "",
    "pack.threads": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The timeouts for listing the refs of a server, and for fetching a commit."""

    list_refs: timedelta = timedelta(seconds=30)
    fetch: timedelta = timedelta(minutes=15)


def settings(url: RemoteUrl, access: Access) -> dict[str, str]:
    """Return git's configuration for this server."""
    configuration = {**_SETTINGS, f"protocol.{url.scheme}.allow": "always"}
    if access.ca_file is not None:
        configuration["http.sslCAInfo"] = str(access.ca_file)
    if _has_password(url, access):
        # Only for the scheme, host and port of the URL, so that the target of a redirect does not get the password.
        configuration[f"credential.{url.origin}.helper"] = _HELPER
    return configuration


def environment(url: RemoteUrl, access: Access) -> dict[str, str]:
    """Return git's environment variables for this server. Raises AuthenticationError."""
    variables = {"GIT_ALLOW_PROTOCOL": url.scheme, "GIT_SSH_COMMAND": _SSH, "GIT_SSH_VARIANT": "ssh"}
    variables |= {"CONTROLLER_GIT_USERNAME": "", "CONTROLLER_GIT_PASSWORD": ""}
    if _has_password(url, access):
        variables |= {"CONTROLLER_GIT_USERNAME": access.username, "CONTROLLER_GIT_PASSWORD": password(access)}
    return variables


def password(access: Access) -> str:
    """Return the current password. A password file is read each time, as it can be replaced at any time.

    Raises AuthenticationError.
    """
    if access.password is not None:
        return access.password
    assert access.password_file is not None
    try:
        text = access.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not a UTF-8 text file"
        raise AuthenticationError(f"The password file {access.password_file} can't be read: {problem}.") from error
    if not text or any(char in text for char in "\r\n\0"):
        raise AuthenticationError(f"The password file {access.password_file} must contain one line, the password.")
    return text


def server_error(error: GitError, url: RemoteUrl, access: Access) -> SourceError:
    """Return the SourceError for a git command that failed while connected to a server, without any secret."""
    text = _stable(_without_secret(reason(error), access)).rstrip(".")
    if isinstance(error, GitTimeoutError):
        return SourceTimeoutError(f"{url} did not respond in time: {text}.")
    for kind, patterns, hint in _KINDS:
        if any(pattern in error.text for pattern in patterns):
            return kind(f"{url} could not be read: {text}.", hint=hint)
    return SourceError(f"{url} could not be read: {text}.")


def _has_password(url: RemoteUrl, access: Access) -> bool:
    return url.scheme in ("https", "http") and (access.password is not None or access.password_file is not None)


def _stable(text: str) -> str:
    """Remove generic advice of ssh, and numbers that vary, so that the same failure always has the same message."""
    for advice in _ADVICE:
        text = text.replace(advice, "")
    text = re.sub(r" after \d+ (?:ms|milliseconds)", "", text)
    return re.sub(r"\d+ (bytes|out of)", r"some \1", text)


def _without_secret(text: str, access: Access) -> str:
    try:
        secret = password(access) if access.password is not None or access.password_file is not None else ""
    except AuthenticationError:
        return text
    return text.replace(secret, "…") if secret else text


_Kind = Callable[..., SourceError]
_CREDENTIALS = "Check CONTROLLER_GIT_USERNAME and CONTROLLER_GIT_PASSWORD_FILE, or the keys and known hosts of ssh."
# The order matters: a server that rejects the credentials also "hangs up unexpectedly".
_KINDS: tuple[tuple[_Kind, tuple[str, ...], str | None], ...] = (
    (
        AuthenticationError,
        ("dubious ownership",),
        "The repository belongs to another user. Use its path, without file://.",
    ),
    (
        AuthenticationError,
        (
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "returned error: 401",
            "returned error: 403",
            "Permission denied (",
            "Host key verification failed",
            "SSL certificate problem",
            "certificate verification failed",
            "server certificate",
        ),
        _CREDENTIALS,
    ),
    (
        SourceTimeoutError,
        ("Operation too slow", "timed out", "Timeout", "not responding"),
        None,
    ),
    (
        UnreachableError,
        ("Could not resolve host", "Couldn't resolve host", "Connection refused", "No route to host", "unreachable"),
        None,
    ),
    (
        RepositoryNotFoundError,
        (
            "not found",
            "does not appear to be a git repository",
            "does not exist",
            "Repository not found",
            "not exported",
        ),
        "Check the URL. Some servers also report this for repositories that you have no access to.",
    ),
    (
        RefNotFoundError,
        ("couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref"),
        "Check --ref. A commit must be reachable, and some servers only serve branches and tags.",
    ),
    (
        UnreachableError,
        (
            "unable to access",
            "Failed to connect",
            "early EOF",
            "hung up",
            "RPC failed",
            "Could not read from remote",
            "unable to update url base",
            "Connection",
            "expected flush",
            "unexpected disconnect",
        ),
        None,
    ),
)
