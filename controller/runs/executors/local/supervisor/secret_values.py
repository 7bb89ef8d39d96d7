"""Resolves the secrets of a run just before it starts; their values are never written to disk. Used by the supervisor.

Values from the controller's environment arrive over the socket together with GO; files are read here.
"""

import os
import stat

MAX_BYTES = 1 << 16


class SecretError(Exception):
    """A secret that can't be resolved. The text becomes the run's reason: it names the secret, never its value."""


def resolve(declared: dict[str, dict[str, str]], received: dict[str, str | None]) -> dict[str, str]:
    """Return the value of every secret in `{NAME: {"env": …} | {"file": …}}`. Raises SecretError.

    `missing` beside `env` says why a value was not received.
    """
    values = {}
    for name, source in declared.items():
        if "file" in source:
            values[name] = _read(name, source["file"])
        else:
            value = received.get(name)
            if value is None:
                missing = source.get("missing") or f"{source['env']} is not set in the controller's environment"
                raise SecretError(f"secret {name}: {missing}")
            values[name] = value
    return values


def _read(name: str, path: str) -> str:
    prefix = f"secret {name}: the file {path}"
    try:
        # O_NONBLOCK: opening a FIFO without a writer would block forever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise SecretError(f"{prefix} can't be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SecretError(f"{prefix} is not a regular file")
        content = _all_of(descriptor)
    except OSError as error:
        raise SecretError(f"{prefix} can't be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise SecretError(f"{prefix} is larger than 64 KiB")
    if b"\0" in content:
        raise SecretError(f"{prefix} contains a NUL byte, which is not allowed in a variable")
    return os.fsdecode(content.removesuffix(b"\n").removesuffix(b"\r"))


def _all_of(descriptor: int) -> bytes:
    content = b""
    while len(content) <= MAX_BYTES:
        chunk = os.read(descriptor, MAX_BYTES + 1 - len(content))
        if not chunk:
            break
        content += chunk
    return content
