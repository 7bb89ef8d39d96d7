"""Which URLs can be followed? Strict on purpose: everything that git might take for an option or a program is refused.

`settings` asks; `sources` gets the parsed value and passes its text to git after `--end-of-options`.
"""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from controller.errors import UsageError

_SCHEMES = ("https", "http", "ssh", "file")
_PORTS = {"https": ":443", "http": ":80", "ssh": ":22"}
_HINT = "Give a path, https://, ssh://, user@host:path, or file://."
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_HIDDEN_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[fF])")
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>\[[^\]/]*\]|[^/:\[\]@]+):(?P<path>[^:].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What lets us in at a server over http(s): a password, or the file that holds it now; and whom we trust."""

    username: str = "git"
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteUrl:
    """A repository that is reached through git's own transports. `text` is as it was given, and holds no secret."""

    text: str
    scheme: str
    user: str | None
    host: str
    path: str

    def __str__(self) -> str:
        return self.text

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether others on the network can read and change what it says."""
        return self.scheme == "http" and not _is_loopback(self.host)

    @property
    def origin(self) -> str:
        """Scheme and host of an http(s) URL: whom credentials are meant for."""
        return "/".join(self.text.split("/", 3)[:3])

    @property
    def directory_name(self) -> str:
        """A name for what is kept of it on disk: readable, and different for different URLs."""
        import hashlib

        last = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.rstrip("/").rpartition("/")[2].removesuffix(".git"))
        return f"{last.strip('.-')[:40] or 'repository'}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"


def looks_remote(text: str) -> bool:
    """Whether this is meant as a URL, good or bad, rather than as a path."""
    head, colon, _ = text.partition(":")
    return "://" in text or "::" in text or (bool(colon) and "/" not in head)


def local_path(text: str) -> str | None:
    """The path that a repository is at, given as a path or a file:// URL; None for one on a server."""
    if text.startswith("file://"):
        return unquote(text.removeprefix("file://"))
    return None if looks_remote(text) and not Path(text).exists() else text


def canonical(text: str) -> str:
    """The same text for every way to name one repository: through links, with `/./`, as file:// URL, with `.git`."""
    path = local_path(text)
    if path is not None:
        return os.path.realpath(path).removesuffix("/.git")
    trimmed = text.rstrip("/").removesuffix(".git").rstrip("/")
    scheme, separator, rest = trimmed.partition("://")
    if not separator:
        host, colon, place = trimmed.partition(":")
        return f"{host.lower()}{colon}{place}"
    host, slash, place = rest.partition("/")
    user, at, name = host.rpartition("@")
    return f"{scheme}://{user}{at}{name.lower().removesuffix(_PORTS.get(scheme, ' '))}{slash}{place}"


def parse_url(text: str) -> RemoteUrl:
    """The URL. Raises UsageError for everything that is not followed, without repeating what may be secret."""
    if text.startswith("-") or not text.isprintable() or " " in text or "\\" in text:
        raise _refused("a URL has no blanks, backslashes or control characters, and does not begin with `-`")
    if "::" in text.partition("[")[0]:
        raise _refused("git's remote helpers (`ext::` and the like) are not used")
    if "://" not in text:
        return _scp(text)
    scheme = text.partition("://")[0]
    if scheme not in _SCHEMES:
        raise _refused(f"{scheme}:// is not followed")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refused("its host or its port is not one") from error
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise _refused("it has a query or a fragment")
    if scheme == "file":
        return _file(text, parts)
    user = _user(parts)
    host = _host(parts.hostname)
    if port == 0 or not parts.path.strip("/"):
        raise _refused("it names no repository")
    return RemoteUrl(text=text, scheme=scheme, user=user, host=host, path=_path(parts.path))


def _file(text: str, parts: SplitResult) -> RemoteUrl:
    if parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//"):
        raise _refused("file:// takes an absolute path, as in file:///srv/flows.git")
    return RemoteUrl(text=text, scheme="file", user=None, host="", path=_path(parts.path))


def _scp(text: str) -> RemoteUrl:
    found = _SCP.fullmatch(text)
    if found is None:
        raise _refused("it is neither a URL nor user@host:path")
    user, path = found["user"], found["path"]
    if user is not None and not _USER.fullmatch(user):
        raise _refused("the user name is not one")
    if path.startswith("-"):
        raise _refused("the path begins with `-`")
    return RemoteUrl(text=text, scheme="ssh", user=user, host=_host(found["host"]), path=_path(path))


def _user(parts: SplitResult) -> str | None:
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise UsageError(
            "--repo: a URL with credentials is refused; it would show up in lists of processes and in logs.",
            hint="Set CONTROLLER_GIT_USERNAME, and CONTROLLER_GIT_PASSWORD or CONTROLLER_GIT_PASSWORD_FILE.",
        )
    if parts.username is not None and not _USER.fullmatch(parts.username):
        raise _refused("the user name is not one")
    return parts.username


def _host(name: str | None) -> str:
    host = f"[{name}]" if name and ":" in name and not name.startswith("[") else name or ""
    if not _HOST.fullmatch(host):
        raise _refused("the host name is not one")
    return host


def _path(path: str) -> str:
    if _HIDDEN_CONTROL.search(path):
        raise _refused("the path has a control character in it")
    if ".." in path.split("/"):
        raise _refused("the path has `..` in it")
    return path


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refused(why: str) -> UsageError:
    return UsageError(f"--repo: this URL is not followed: {why}.", hint=_HINT)
