"""How git talks to a server, for `remote`: one scheme allowed, credentials on no command line, patience that ends.

What the server or ssh says when it refuses becomes one of the errors that people can alert on.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from controller.errors import (
    AuthenticationError,
    RefNotFoundError,
    RepositoryNotFoundError,
    SourceError,
    SourceTimeoutError,
    UnreachableError,
)
from controller.remotes import Access, RemoteUrl
from controller.sources.git.commands import GitError, GitTimeoutError, reason

_SSH = (
    "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes"
    " -oConnectTimeout=15 -oServerAliveInterval=10 -oServerAliveCountMax=3"
    " -oClearAllForwardings=yes -oForwardAgent=no -oPermitLocalCommand=no -oControlMaster=no -oControlPath=none"
)
# The helper is a constant; what it prints stands in its environment, which only this user can read.
_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    'printf \'username=%s\\npassword=%s\\n\' "$CONTROLLER_GIT_USERNAME" "$CONTROLLER_GIT_PASSWORD"; }; f'
)
_ADDED = (
    "; Could not read from remote repository.",
    "; Please make sure you have the correct access rights",
    "; and the repository exists",
)
_SETTINGS = {
    "protocol.allow": "never",
    "transfer.fsckObjects": "true",
    # Written by old tools, harmless, and no operator can correct them in a history that others have.
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
class Patience:
    """How long a server may take to say where its refs are, and to send what is new."""

    ask: timedelta = timedelta(seconds=30)
    fetch: timedelta = timedelta(minutes=15)


def settings(url: RemoteUrl, access: Access) -> dict[str, str]:
    """Git's configuration for this server."""
    found = {**_SETTINGS, f"protocol.{url.scheme}.allow": "always"}
    if access.ca_file is not None:
        found["http.sslCAInfo"] = str(access.ca_file)
    if _has_password(url, access):
        # Only for the scheme and host that the operator named: a redirect elsewhere gets nothing.
        found[f"credential.{url.origin}.helper"] = _HELPER
    return found


def environment(url: RemoteUrl, access: Access) -> dict[str, str]:
    """What git finds in its environment for this server. Raises AuthenticationError."""
    found = {"GIT_ALLOW_PROTOCOL": url.scheme, "GIT_SSH_COMMAND": _SSH, "GIT_SSH_VARIANT": "ssh"}
    found |= {"CONTROLLER_GIT_USERNAME": "", "CONTROLLER_GIT_PASSWORD": ""}
    if _has_password(url, access):
        found |= {"CONTROLLER_GIT_USERNAME": access.username, "CONTROLLER_GIT_PASSWORD": password(access)}
    return found


def password(access: Access) -> str:
    """The password as it is now; a file may be replaced at any time. Raises AuthenticationError."""
    if access.password is not None:
        return access.password
    assert access.password_file is not None
    try:
        found = access.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AuthenticationError(f"The password file {access.password_file} can't be read: {why}.") from error
    if not found or any(char in found for char in "\r\n\0"):
        raise AuthenticationError(f"The password file {access.password_file} must hold one line, the password.")
    return found


def refusal(error: GitError, url: RemoteUrl, access: Access) -> SourceError:
    """Why the server could not be asked, as the error that it is."""
    text = _steady(_without_secret(reason(error), access)).rstrip(".")
    if isinstance(error, GitTimeoutError):
        return SourceTimeoutError(f"{url} did not answer in time: {text}.")
    for kind, words, hint in _KINDS:
        if any(word in error.text for word in words):
            return kind(f"{url} could not be read: {text}.", hint=hint)
    return SourceError(f"{url} could not be read: {text}.")


def _has_password(url: RemoteUrl, access: Access) -> bool:
    return url.scheme in ("https", "http") and (access.password is not None or access.password_file is not None)


def _steady(text: str) -> str:
    """Without what ssh adds for people, and without numbers: the same failure is told in the same words."""
    for added in _ADDED:
        text = text.replace(added, "")
    text = re.sub(r" after \d+ (?:ms|milliseconds)", "", text)
    return re.sub(r"\d+ (bytes|out of)", r"some \1", text)


def _without_secret(text: str, access: Access) -> str:
    try:
        secret = password(access) if access.password is not None or access.password_file is not None else ""
    except AuthenticationError:
        return text
    return text.replace(secret, "…") if secret else text


_Kind = Callable[..., SourceError]
_CREDENTIALS = "See CONTROLLER_GIT_USERNAME and CONTROLLER_GIT_PASSWORD_FILE, or the keys and known hosts of ssh."
# In this order: a server that refuses also "hangs up unexpectedly".
_KINDS: tuple[tuple[_Kind, tuple[str, ...], str | None], ...] = (
    (
        AuthenticationError,
        ("dubious ownership",),
        "The repository belongs to another user. Follow it by its path, without file://.",
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
        "Check the URL. Some servers say this of what they don't let you see.",
    ),
    (
        RefNotFoundError,
        ("couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref"),
        "Check --ref. A commit must be reachable, and some servers hand out branches and tags only.",
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
