"""Listening sockets of the server: a TCP address, and the Unix socket in the private state directory.

The kernel identifies the user at the other end of the Unix socket. Only the controller's own user and root are allowed.
"""

import os
import pwd
import socket
import struct
from pathlib import Path

from controller.client.socket_path import short_path
from controller.errors import StateError

MAX_WAITING = 1024
"""Backlog: connections that the kernel queues until they are accepted."""


def bind_address(host: str, port: int) -> socket.socket:
    """Listen on a TCP address. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is given explicitly; without it, responses would wait for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(MAX_WAITING)
    except OSError:
        listener.close()
        raise
    return listener


def bind_path(path: Path) -> socket.socket:
    """Listen on a Unix socket, replacing one that a killed controller left behind. Raises StateError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as address:
            listener.bind(address)
        listener.listen(MAX_WAITING)
    except OSError as error:
        listener.close()
        raise StateError(f"Cannot create the socket {path}: {error.strerror}.") from error
    return listener


def peer_of(connection: socket.socket) -> str | None:
    """Return the name of the user at the other end of a Unix socket; None for a user who is not allowed."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user = int(struct.unpack("3i", credentials)[1])
    if user not in (os.getuid(), 0):
        return None
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
