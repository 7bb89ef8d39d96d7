"""Lets the running controller run a command of `forwarded_commands` in a process that has the modules loaded already.

`controller.__main__` calls it before it loads the command line: loading takes longer than most commands themselves.
The process is a fork of the command server (`cli.command_server`). It gets the standard streams, the directory and the
environment of this process, so that the output is the same. Without a server that can do it, the caller runs the
command itself.
"""

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

SOCKET = "commands.sock"
"""The name of the server's socket in the state directory."""
STARTED = b"started"
REFUSED = b"refused"
# The server answers with STARTED, and then with the exit code; or with REFUSED, if the client must run the command.
_CONNECT_TIMEOUT = struct.pack("ll", 1, 0)


def run_in_server(arguments: Sequence[str]) -> int | None:
    """Run a command in a process of the running controller and return its exit code.

    Returns None if the caller must run the command, because no server accepts it. The command ends when this process
    does.
    """
    try:
        connection = _connect(arguments)
    except (OSError, ValueError):
        return None
    if connection is None:
        return None
    with connection:
        return _wait(connection)


def _connect(arguments: Sequence[str]) -> socket.socket | None:
    """Send the command to the server of its state and return the connection; None without a server.

    Raises OSError, also if the server belongs to another user, and ValueError.
    """
    for stream in range(3):
        os.fstat(stream)
    state = _find_state(arguments)
    if state is None:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # With a timeout of Python, connect() would fail at once if the backlog is full.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _CONNECT_TIMEOUT)
        directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)
        if peer_user(connection) != os.geteuid():
            raise OSError
        working_directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            socket.send_fds(connection, [_request(arguments, state)], [0, 1, 2, working_directory])
        finally:
            os.close(working_directory)
    except BaseException:
        connection.close()
        raise
    return connection


def _find_state(arguments: Sequence[str]) -> str | None:
    """Return the state directory in which a server of this command listens, or None.

    The command itself reads its arguments again, so this need not know all rules of `settings.locate`, which takes
    several times as long to load as this module.
    """
    state = _value_of(arguments, "--state-dir") or os.environ.get("CONTROLLER_STATE_DIR")
    if state:
        candidates = [os.path.abspath(state)]
    else:
        repository = _value_of(arguments, "--repo") or os.environ.get("CONTROLLER_REPO")
        root = os.path.abspath(repository) if repository else _enclosing_repository(os.getcwd())
        candidates = [f"{_git_directory(root)}/controller", f"{root}/.controller"]
    return next((path for path in candidates if os.path.exists(f"{path}/{SOCKET}")), None)


def _enclosing_repository(start: str) -> str:
    directory = start
    while not os.path.exists(f"{directory}/.git"):
        if directory == "/":
            return start
        directory = os.path.dirname(directory)
    return directory


def _git_directory(root: str) -> str:
    """Return `.git`, the directory that the file `.git` of a linked worktree names, or `root` if it is bare."""
    path = f"{root}/.git"
    if not os.path.isfile(path):
        return path if os.path.isdir(path) else root
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return os.path.normpath(os.path.join(root, stream.read(4096).partition(":")[2].strip()))


def _value_of(arguments: Sequence[str], option: str) -> str | None:
    """Return the last value of an option."""
    value = None
    for index, argument in enumerate(arguments):
        if argument == option and index + 1 < len(arguments):
            value = arguments[index + 1]
        elif argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
    return value


def _request(arguments: Sequence[str], state: str) -> bytes:
    from controller import __version__

    status = os.stat(state)
    request = {
        "version": __version__,
        "program": sys.argv[0],
        "arguments": list(arguments),
        "environment": dict(os.environ),
        "state": [state, status.st_dev, status.st_ino],
        "encodings": [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "output_encoding": sys._xoptions.get("controller-output"),
    }
    return json.dumps(request).encode()


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", credentials)[1]
    return user


def _wait(connection: socket.socket) -> int | None:
    """Wait for the exit code. None if the command was not started."""
    connection.settimeout(None)
    answer = b""
    try:
        if connection.recv(16) != STARTED:
            return None
        with suppress(OSError):  # it was started, so it must not run again
            answer = connection.recv(16)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError:
        return None
    if not answer:
        with suppress(OSError, AttributeError):
            sys.stderr.write("error: The process that ran this command has ended unexpectedly.\n")
        return 2
    return int(answer)
