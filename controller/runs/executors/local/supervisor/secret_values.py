"""The values of a run's secrets, found at the last moment and written nowhere. Used by the supervisor.

A value from the controller's environment comes over the pipe, together with GO; a file is read here.
"""

import os
import stat

MAX_BYTES = 1 << 16


class SecretError(Exception):
    """A value that can't be had. The text is the run's reason: it names the secret, and never holds a value."""


def resolve(declared: dict[str, dict[str, str]], given: dict[str, str | None]) -> dict[str, str]:
    """The value of every secret: `{NAME: {"env": …} | {"file": …}}`. Raises SecretError."""
    found = {}
    for name, where in declared.items():
        if "file" in where:
            found[name] = _read(name, where["file"])
        else:
            value = given.get(name)
            if value is None:
                raise SecretError(f"secret {name}: the controller's environment has no {where['env']}")
            found[name] = value
    return found


def _read(name: str, path: str) -> str:
    place = f"secret {name}: the file {path}"
    try:
        # O_NONBLOCK: a FIFO without a writer would have us wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise SecretError(f"{place} can't be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SecretError(f"{place} is not a regular file")
        content = _all_of(descriptor)
    except OSError as error:
        raise SecretError(f"{place} can't be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise SecretError(f"{place} is larger than 64 KiB")
    if b"\0" in content:
        raise SecretError(f"{place} holds a NUL, which no variable can")
    return os.fsdecode(content.removesuffix(b"\n").removesuffix(b"\r"))


def _all_of(descriptor: int) -> bytes:
    content = b""
    while len(content) <= MAX_BYTES:
        chunk = os.read(descriptor, MAX_BYTES + 1 - len(content))
        if not chunk:
            break
        content += chunk
    return content
