"""Removes what a URL contains from texts: users, passwords, tokens and paths. Errors of deliveries pass through it.

`sender` redacts what libraries and servers report, and `sender_process` does so again with what it receives.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from controller.text import shorten

_MASK = "****"
_LEAST = 4
"""Shorter values are only replaced where they are words of their own, since they would be found in other words."""
_MAX_LENGTH = 400
_PUBLIC_HOSTS = frozenset({"http", "https", "json", "jsons", "mailto", "mailtos", "ntfys", "gotify", "gotifys"})
"""The schemes of URLs whose host is the name of a server. The host of others may be a token."""
_URLS = re.compile(r"\b(?!mailto:)[a-z][a-z0-9+.-]*://[^\s'\"<>]+|(?<=url: )/[^\s'\"<>]+", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,31})://", re.IGNORECASE | re.ASCII)
_SEPARATORS = re.compile(r"[\s/?&#@:;,]+")


class Redactor:
    """Replaces the secret parts of a URL, and other secrets such as `key`, by asterisks."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._host = _host(url)
        secrets = {url, *_parts(url)} | ({key} if key else set())
        secrets |= {unquote(secret) for secret in secrets}
        secrets |= {quote(secret, safe="") for secret in secrets}
        secrets -= {"", self._host}
        words = sorted(map(_pattern, secrets), key=len, reverse=True)
        self._secrets = re.compile("|".join(words) or r"(?!)", re.IGNORECASE)

    def redact(self, text: str) -> str:
        """Return the text on one line without the secrets, shortened."""
        pieces = text.split(self._host) if self._host else [text]
        # The host is kept, even if it is also a part of an address or of a token.
        text = (self._host or "").join(self._secrets.sub(_MASK, piece) for piece in pieces)
        return shorten(" ".join(_URLS.sub(_MASK, text).split()), _MAX_LENGTH)


def redactor_of(request: Mapping[str, Any]) -> Redactor:
    """Return the redactor for errors of a request to `sender`. For commit statuses, only the token is secret."""
    url = "" if request["kind"] == "commit_status" else request["url"]
    return Redactor(url, request.get("key"))


def scheme_of(url: str) -> str | None:
    """Return the scheme of a URL in lower case; None if the value is not a URL, but a token, for example."""
    match = _SCHEME.match(url)
    return match[1].lower() if match else None


def _pattern(secret: str) -> str:
    return re.escape(secret) if len(secret) >= _LEAST else rf"(?<![\w]){re.escape(secret)}(?![\w])"


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.scheme.lower() in _PUBLIC_HOSTS else None
    except ValueError:
        return None


def _parts(url: str) -> set[str]:
    """Return the parts of a URL that may be secret: all but its scheme and the names in its query."""
    rest = url.partition("://")[2]
    location, _, query = rest.partition("?")
    parts = set(_SEPARATORS.split(location))
    for pair in query.split("&"):
        value = pair.partition("=")[2]
        parts |= {value, unquote(value), *_SEPARATORS.split(unquote(value))}
    user_information, at, _ = location.rpartition("@")
    if at:
        parts |= {user_information, user_information.partition(":")[2]}
    return parts
