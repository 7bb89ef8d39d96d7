"""What the server listens at: a TCP address, and the Unix socket in the private state directory.

Whoever connects to the Unix socket is known by the kernel's word: our own user, and root. Nobody else comes in.
"""

import os
import pwd
import socket
import struct
from pathlib import Path

from controller.client.connection import short_path
from controller.errors import StateError

MAX_WAITING = 1024
"""How many the kernel keeps until they are accepted."""


def bind_address(host: str, port: int) -> socket.socket:
    """Listen at a TCP address. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends at once what is written (TCP_NODELAY), and no answer waits for an ACK.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((host, port))
        found.listen(MAX_WAITING)
    except OSError:
        found.close()
        raise
    return found


def bind_path(path: Path) -> socket.socket:
    """Listen at a path, in the place of what a controller that was killed has left there. Raises StateError."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as address:
            found.bind(address)
        found.listen(MAX_WAITING)
    except OSError as error:
        found.close()
        raise StateError(f"The socket {path} can't be made: {error.strerror}.") from error
    return found


def peer_of(connection: socket.socket) -> str | None:
    """The name of the user at the other end of a Unix socket; None for one who has no business here."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user = int(struct.unpack("3i", credentials)[1])
    if user not in (os.getuid(), 0):
        return None
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
