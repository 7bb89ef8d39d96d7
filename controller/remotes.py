"""Parses and checks the URL of a remote repository. Text that git might take for an option or a program is rejected.

Called by `settings`. Sources get the parsed value and pass its text to git after `--end-of-options`.
"""

import ipaddress
import os
import re
from dataclasses import field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from controller.errors import UsageError
from controller.records import dataclass

_SCHEMES = ("https", "http", "ssh", "file")
_PORTS = {"https": ":443", "http": ":80", "ssh": ":22"}
_HINT = "Use a path, https://, ssh://, user@host:path, or file://."
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_HIDDEN_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[fF])")
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>\[[^\]/]*\]|[^/:\[\]@]+):(?P<path>[^:].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Credentials for http(s): a user name with a password or a file that contains it, and a CA file to trust."""

    username: str = "git"
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteUrl:
    """A remote repository that git's own transports can reach. `text` is the URL as configured, without any secret."""

    text: str
    scheme: str
    user: str | None
    host: str
    path: str

    def __str__(self) -> str:
        return self.text

    @property
    def is_unencrypted(self) -> bool:
        """Whether others on the network can read and change the traffic."""
        return self.scheme == "http" and not _is_loopback(self.host)

    @property
    def origin(self) -> str:
        """The scheme, host and port of an http(s) URL, to which credentials are restricted."""
        return "/".join(self.text.split("/", 3)[:3])

    @property
    def directory_name(self) -> str:
        """A readable name for the state directory of this URL, different for each URL."""
        import hashlib

        last = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.rstrip("/").rpartition("/")[2].removesuffix(".git"))
        return f"{last.strip('.-')[:40] or 'repository'}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"


def looks_like_url(text: str) -> bool:
    """Whether `text` is meant as a URL, valid or not, rather than as a path."""
    head, colon, _ = text.partition(":")
    return "://" in text or "::" in text or (bool(colon) and "/" not in head)


def local_path(text: str) -> str | None:
    """Return the path of a repository that is given as a path or a file:// URL; None for one on a server."""
    if text.startswith("file://"):
        return unquote(text.removeprefix("file://"))
    return None if looks_like_url(text) and not Path(text).exists() else text


def canonical(text: str) -> str:
    """Return one text for all spellings of a repository: through links, with `/./`, as a file:// URL, with `.git`."""
    path = local_path(text)
    if path is not None:
        return os.path.realpath(path).removesuffix("/.git")
    trimmed = text.rstrip("/").removesuffix(".git").rstrip("/")
    scheme, separator, rest = trimmed.partition("://")
    if not separator:
        host, colon, repository = trimmed.partition(":")
        return f"{host.lower()}{colon}{repository}"
    host, slash, repository = rest.partition("/")
    user, at, name = host.rpartition("@")
    return f"{scheme}://{user}{at}{name.lower().removesuffix(_PORTS.get(scheme, ' '))}{slash}{repository}"


def parse_url(text: str) -> RemoteUrl:
    """Parse and check a URL. Raises UsageError if it is not supported, without repeating text that may be secret."""
    if text.startswith("-") or not text.isprintable() or " " in text or "\\" in text:
        raise _unsupported_error("spaces, backslashes, control characters and a `-` at the beginning are not allowed")
    if "::" in text.partition("[")[0]:
        raise _unsupported_error("git's remote helpers (such as `ext::`) are not allowed")
    if "://" not in text:
        return _scp(text)
    scheme = text.partition("://")[0]
    if scheme not in _SCHEMES:
        raise _unsupported_error(f"the scheme {scheme}:// is not allowed")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _unsupported_error("invalid host or port") from error
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise _unsupported_error("a query or a fragment is not allowed")
    if scheme == "file":
        return _file(text, parts)
    user = _user(parts)
    host = _host(parts.hostname)
    if port == 0:
        raise _unsupported_error("invalid host or port")
    if not parts.path.strip("/"):
        raise _unsupported_error("the path of the repository is missing")
    return RemoteUrl(text=text, scheme=scheme, user=user, host=host, path=_path(parts.path))


def check_web_url_template(text: str | None) -> str | None:
    """Return the template of the web pages of commits if it is usable. Raises UsageError."""
    if text is not None and not re.fullmatch(r"https?://[!-~]*\{commit\}[!-~]*", text):
        raise UsageError(
            "--web-url-template: expected an http(s) URL that contains {commit}.",
            hint="For example: https://git.example.org/team/flows/commit/{commit}",
        )
    return text


def guess_web_url_template(remote: str) -> str | None:
    """Return the template of the web pages of commits for a repository on GitHub or GitLab; None for any other."""
    try:
        url = parse_url(remote)
    except UsageError:
        return None
    repository = url.path.strip("/").removesuffix(".git")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+", repository, re.ASCII):
        return None
    if url.host == "github.com":
        return f"https://github.com/{repository}/commit/{{commit}}"
    is_gitlab = url.host.startswith("gitlab.")
    return f"https://{url.host}/{repository}/-/commit/{{commit}}" if is_gitlab else None


def pull_request_url(template: str | None, subject: str) -> tuple[str, str] | None:
    """Return the number and the URL of the pull or merge request that the subject of a commit names.

    Squashed commits end with `(#123)`, and merge commits of GitHub begin with `Merge pull request #123 from`. None if
    the subject names no request, or if the template of web pages is not that of GitHub or GitLab.
    """
    match = re.search(r" \(([#!][0-9]{1,9})\)$", subject) or re.match(
        r"Merge pull request (#[0-9]{1,9}) from ", subject
    )
    base = match and _web_base(template)
    if not match or not base:
        return None
    page = "merge_requests" if base.endswith("/-") else "pull"
    return match[1], f"{base}/{page}/{match[1][1:]}"


def file_url(template: str | None, commit: str, path: str, line: int) -> str | None:
    """Return the URL of a line of a file at a commit; None if the template is not that of GitHub or GitLab."""
    base = _web_base(template)
    return f"{base}/blob/{commit}/{quote(path, errors='surrogateescape')}#L{line}" if base and commit else None


def _web_base(template: str | None) -> str | None:
    """Return the part of a template that all pages of a repository share; for GitLab it ends with `/-`."""
    match = re.fullmatch(r"(https?://([^/]+)/[^{}]+)/commit/\{commit\}", template or "")
    is_known = match is not None and (match[1].endswith("/-") or "github" in match[2])
    return match[1] if match is not None and is_known else None


def _file(text: str, parts: SplitResult) -> RemoteUrl:
    if parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//"):
        raise _unsupported_error("file:// requires an absolute path, as in file:///srv/flows.git")
    return RemoteUrl(text=text, scheme="file", user=None, host="", path=_path(parts.path))


def _scp(text: str) -> RemoteUrl:
    match = _SCP.fullmatch(text)
    if match is None:
        raise _unsupported_error("it is neither a URL nor user@host:path")
    user, path = match["user"], match["path"]
    if user is not None and not _USER.fullmatch(user):
        raise _unsupported_error("invalid user name")
    if path.startswith("-"):
        raise _unsupported_error("the path begins with `-`")
    return RemoteUrl(text=text, scheme="ssh", user=user, host=_host(match["host"]), path=_path(path))


def _user(parts: SplitResult) -> str | None:
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise UsageError(
            "--repo: credentials in a URL are not allowed, because they would show up in process lists and logs.",
            hint="Set CONTROLLER_GIT_USERNAME, and CONTROLLER_GIT_PASSWORD or CONTROLLER_GIT_PASSWORD_FILE.",
        )
    if parts.username is not None and not _USER.fullmatch(parts.username):
        raise _unsupported_error("invalid user name")
    return parts.username


def _host(name: str | None) -> str:
    host = f"[{name}]" if name and ":" in name and not name.startswith("[") else name or ""
    if not _HOST.fullmatch(host):
        raise _unsupported_error("invalid host name")
    return host


def _path(path: str) -> str:
    if _HIDDEN_CONTROL.search(path):
        raise _unsupported_error("the path contains a control character")
    if ".." in path.split("/"):
        raise _unsupported_error("the path contains `..`")
    return path


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _unsupported_error(reason: str) -> UsageError:
    return UsageError(f"--repo: unsupported URL: {reason}.", hint=_HINT)
