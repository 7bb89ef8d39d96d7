"""The URLs of repositories on git servers: of their web pages, and of the APIs that take commit statuses.

`manifests.commit_status_fields` checks a declared URL, and `notify` sends commit statuses. Pure functions.
"""

import re
from urllib.parse import SplitResult, quote, urlsplit

from controller.errors import UsageError
from controller.model.commit_statuses import Provider
from controller.remotes import RemoteUrl

_SSH_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
"""Hosts for SSH through port 443, and the hosts of the web pages."""
_SEGMENT = re.compile(r"[\w~.-]+", re.ASCII)
_EXAMPLES = {
    Provider.GITHUB: "https://github.com/acme/flows",
    Provider.GITLAB: "https://gitlab.com/acme/flows",
    Provider.GITEA: "https://gitea.example.org/acme/flows",
    Provider.FORGEJO: "https://codeberg.org/acme/flows",
    Provider.BITBUCKET: "https://bitbucket.org/acme/flows",
}


def web_page(remote: RemoteUrl) -> str | None:
    """Return the URL of the web page of a repository that is followed by this URL; None if it is on no server."""
    if remote.scheme == "file":
        return None
    path = remote.path.strip("/").removesuffix(".git").rstrip("/")
    if remote.scheme in ("http", "https"):
        return f"{remote.origin}/{path}"
    host = remote.host.lower()
    return f"https://{_SSH_HOSTS.get(host, host)}/{path}"


def check_web_page(provider: Provider, url: str) -> None:
    """Check the URL of a repository's web page. Raises UsageError, whose message does not contain the URL."""
    hint = f"write the URL of the repository's web page, such as {_EXAMPLES[provider]}"
    parts = _split(url)
    if parts is None:
        raise UsageError("url is not an http(s) URL", hint=hint)
    if "@" in parts.netloc:
        raise UsageError("url contains a user or a password, which are not sent", hint="remove them; use the key token")
    segments = _segments(parts)
    is_exact = provider in (Provider.GITHUB, Provider.BITBUCKET)
    is_repository = len(segments) == 2 if is_exact else len(segments) >= 2
    if parts.query or parts.fragment or not is_repository or not all(map(_is_name, segments)):
        raise UsageError("url is not the URL of a repository", hint=hint)
    if provider is Provider.BITBUCKET and parts.hostname != "bitbucket.org":
        raise UsageError("url is not on bitbucket.org, and other servers of Bitbucket are not supported", hint=hint)


def statuses_url(provider: Provider, url: str, commit: str) -> str:
    """Return the URL of the API that takes statuses of a commit. `url` is that of the repository's web page."""
    parts = urlsplit(url)
    origin, host, segments = f"{parts.scheme}://{parts.netloc}", parts.hostname or "", _segments(parts)
    repository = "/".join(segments)
    match provider:
        case Provider.GITHUB:
            return f"{_github_api(origin, host)}/repos/{repository}/statuses/{commit}"
        case Provider.GITLAB:
            return f"{origin}/api/v4/projects/{quote(repository, safe='')}/statuses/{commit}"
        case Provider.BITBUCKET:
            return f"https://api.bitbucket.org/2.0/repositories/{repository}/commit/{commit}/statuses/build"
        case _:
            base = "/".join([origin, *segments[:-2]])  # the server may be below a path
            return f"{base}/api/v1/repos/{'/'.join(segments[-2:])}/statuses/{commit}"


def commit_page(provider: Provider, url: str, commit: str) -> str:
    """Return the URL of the web page of a commit."""
    page = f"{url.rstrip('/').removesuffix('.git')}/"
    directory = {Provider.GITLAB: "-/commit", Provider.BITBUCKET: "commits"}.get(provider, "commit")
    return f"{page}{directory}/{commit}"


def is_unencrypted(url: str) -> bool:
    """Whether others on the network can read what is sent to this URL."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _github_api(origin: str, host: str) -> str:
    if host in ("github.com", "www.github.com"):
        return "https://api.github.com"
    return f"https://api.{host}" if host.endswith(".ghe.com") else f"{origin}/api/v3"


def _split(url: str) -> SplitResult | None:
    """Return the parts of an http(s) URL; None if it is none."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_valid and url.isascii() and url.isprintable() and " " not in url else None


def _segments(parts: SplitResult) -> list[str]:
    return parts.path.strip("/").removesuffix(".git").split("/")


def _is_name(segment: str) -> bool:
    return _SEGMENT.fullmatch(segment) is not None and segment not in (".", "..")
