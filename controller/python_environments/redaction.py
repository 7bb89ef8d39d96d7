"""Removes credentials from messages, before they are logged, recorded or shown. Results stay as uv printed them."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

_USERINFO = re.compile(r"(?<=://)[^/\s@'\"`]+@")
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|CREDENTIAL")
_PASSWORD = re.compile(r"://[^/\s@:]*:([^/\s@]*)@")
_MASK = "****"
_LEAST = 4
"""Shorter values are not replaced wherever they occur, since they would be found in ordinary words."""


class Redactor:
    """Replaces the user information of URLs, and the values of secret variables."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        secrets = {value for name, value in variables.items() if _SECRET_NAME.search(name)}
        for value in variables.values():
            secrets |= set(_PASSWORD.findall(value))
        secrets |= {unquote(secret) for secret in secrets}
        self._secrets = sorted((secret for secret in secrets if len(secret) >= _LEAST), key=len, reverse=True)

    def redact(self, text: str) -> str:
        """Return the text without credentials."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return hide_user_information(text)


def hide_user_information(text: str) -> str:
    """Return the text without the user information of URLs."""
    return _USERINFO.sub(f"{_MASK}@", text)
