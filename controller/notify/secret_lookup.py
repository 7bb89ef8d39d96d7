"""Looks up secrets when they are needed: the URLs of channels and heartbeats, and the keys of webhooks.

`channels` and `delivery` call it. A value is never stored, logged or put into an error.
"""

import os
import stat
from collections.abc import Mapping

from controller.errors import ControllerError
from controller.model.policies import EnvSecret, Secret

MAX_BYTES = 64 * 1024


class MisconfiguredError(ControllerError):
    """A channel that can't be used until its configuration is corrected. The message contains no secret."""

    reason = "Misconfigured"

    @property
    def instruction(self) -> str:
        """The message, followed by the hint."""
        return self.message if self.hint is None else f"{self.message} {self.hint}"


class SecretMissingError(MisconfiguredError):
    """A secret that can't be read. The message names its place, never its value."""

    reason = "SecretMissing"


def find_secret(place: str | Secret, variables: Mapping[str, str]) -> str:
    """Return the value behind a place, without spaces and line breaks around it; a string is the value itself.

    `variables` is the environment of the controller. Raises SecretMissingError.
    """
    if isinstance(place, str):
        return place.strip()
    if isinstance(place, EnvSecret):
        value = variables.get(place.env, "").strip()
        if not value:
            message = f"The environment variable {place.env} is not set."
            raise SecretMissingError(message, hint=f"Set {place.env} in the controller's environment, and restart it.")
        return value
    value = _read(place.file).strip()
    if not value:
        raise SecretMissingError(f"The file {place.file} is empty.", hint="Write the secret to it.")
    return value


def _read(path: str) -> str:
    hint = "Create the file, and make it readable for the user of the controller."
    try:
        # O_NONBLOCK: opening a FIFO without a writer would block forever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise SecretMissingError(f"{path} is not a regular file.", hint=hint)
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is invalid"
        raise SecretMissingError(f"The file {path} can't be read: {reason}.", hint=hint) from None
    if len(content) > MAX_BYTES:
        raise SecretMissingError(f"The file {path} is larger than 64 KiB.", hint="Write only the secret to it.")
    return content.decode("utf-8", "surrogateescape")
