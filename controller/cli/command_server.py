"""The command server: a process of `controller run` that runs the commands of `forwarded_commands` with loaded modules.

`controller run` forks it while it is still single-threaded. When the controller has started, the server listens at a
socket in the state directory, and forks for each command that `cli.command_client` sends. It ends when the controller
does.

A command has the umask and the resource limits of the controller, not those of its client. They can't matter to the
client, because no forwarded command creates a file: commands read, or send one request. The two files that SQLite opens
beside the database exist while the controller runs.
"""

import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from controller import __version__
from controller.cli.command_client import REFUSED, SOCKET, STARTED, peer_user
from controller.cli.command_preparation import prepare
from controller.cli.main import run
from controller.settings import Location

_IDLE_SECONDS = 2.0
"""After this long without a command, the server prepares for all commands."""
_REQUEST_SECONDS = 1.0
_LARGEST_REQUEST = 1 << 20
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FILES = 4
"""The standard streams and the working directory."""


class CommandServer:
    """The command server, as a child of this process. It ends when this object's socket is closed."""

    def __init__(self, location: Location) -> None:
        """Fork the server for the commands of this location.

        Call it while there is only one thread, after the controller's modules are loaded.
        """
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.freeze()  # a collection writes to the objects, and the processes would no longer share their memory
        self._pid = os.fork()
        if self._pid == 0:
            self._control.close()
            _run_server(control, location)
        control.close()

    def listen(self, state: Path) -> None:
        """Make the server listen in this state directory. If it can't, commands run in their own processes."""
        with suppress(OSError):
            self._control.send(os.fsencode(state))

    def stop(self) -> None:
        """End the server. Commands that it runs are not affected."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _run_server(control: socket.socket, location: Location) -> NoReturn:
    """Serve until the controller closes its socket, or exits. Runs a command in a fork of this process."""
    os.setsid()
    gc.disable()
    for stop in _STOP_SIGNALS:
        signal.signal(stop, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap_commands)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    try:
        state = os.fsdecode(control.recv(4096))
        if state:
            with _listen(state) as listener:
                bound = os.lstat(f"{state}/{SOCKET}")
                try:
                    _serve(listener, control, state, location)
                finally:
                    _remove_socket(state, bound)
    except OSError:
        os._exit(1)
    os._exit(0)


def _reap_commands(*_: object) -> None:
    """Wait for the commands that have ended, so that their CPU time is part of that of the server."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _listen(state: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.chdir(state)  # the kernel accepts at most 107 bytes
    with suppress(FileNotFoundError):
        os.unlink(SOCKET)
    mask = os.umask(0o177)
    listener.bind(SOCKET)
    os.umask(mask)
    os.chdir("/")
    listener.listen(64)
    return listener


def _remove_socket(state: str, bound: os.stat_result) -> None:
    """Remove the socket, unless the server of another controller listens there by now."""
    with suppress(OSError):
        current = os.lstat(f"{state}/{SOCKET}")
        if (current.st_dev, current.st_ino) == (bound.st_dev, bound.st_ino):
            os.unlink(f"{state}/{SOCKET}")


def _serve(listener: socket.socket, control: socket.socket, state: str, location: Location) -> None:
    status = os.stat(state)
    own = [state, status.st_dev, status.st_ino]
    preparation = prepare(location)
    timeout: float | None = _IDLE_SECONDS
    while True:
        readable = select.select([listener, control], [], [], timeout)[0]
        if control in readable:
            return
        if not readable:
            timeout = next(preparation, None)
            continue
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                _start_command(connection, own, (listener, control))


def _start_command(connection: socket.socket, own: list[Any], sockets: Sequence[socket.socket]) -> None:
    """Fork for a request and return; refuse a request that is not for this server. Raises OSError."""
    connection.settimeout(_REQUEST_SECONDS)
    message, files, flags, _ = socket.recv_fds(connection, _LARGEST_REQUEST, _FILES)
    try:
        is_whole = len(files) == _FILES and not flags & socket.MSG_TRUNC
        request = _read_request(message, connection, own) if is_whole else None
        if request is None:
            connection.send(REFUSED)
        elif os.fork() == 0:
            for one in sockets:
                one.close()
            _run_command(connection, request, files)
    except OSError:
        connection.send(REFUSED)
    finally:
        for file in files:
            os.close(file)


def _read_request(message: bytes, connection: socket.socket, own: list[Any]) -> Any:
    """Return a request of this version and this user for this state; None for another. Raises OSError."""
    if peer_user(connection) != os.geteuid():
        return None
    try:
        request = json.loads(message)
        is_ours = request["version"] == __version__ and _is_same(request["state"], own)
    except (ValueError, TypeError, LookupError):
        return None
    return request if is_ours else None


def _is_same(theirs: list[Any], own: list[Any]) -> bool:
    """Whether the path of the client's state leads to ours here too. It may see other file systems."""
    status = os.stat(theirs[0])
    return theirs[1:] == own[1:] == [status.st_dev, status.st_ino]


def _run_command(connection: socket.socket, request: Any, files: list[int]) -> NoReturn:
    """Take over the streams, the directory and the environment of the client, run the command, send its exit code."""
    code: Any = 2
    try:
        connection.settimeout(None)
        connection.send(STARTED)
        _end_with(connection)
        _become(request, files)
        code = run(request["arguments"])
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        with suppress(OSError):
            connection.send(str(code).encode())
        os._exit(0)


def _end_with(connection: socket.socket) -> None:
    """Have the kernel end this process with SIGIO when the client closes its connection."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([connection], [], [], 0)[0]:
        os._exit(0)


def _become(request: Any, files: list[int]) -> None:
    for stop in (*_STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(stop, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    *streams, directory = files
    os.fchdir(directory)
    os.close(directory)
    for number, file in enumerate(streams):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = [request["program"], *request["arguments"]]
    if request["output_encoding"] is not None:
        sys._xoptions["controller-output"] = request["output_encoding"]
    else:
        sys._xoptions.pop("controller-output", None)
    names = ("stdin", "stdout", "stderr")
    for number, (name, (encoding, errors)) in enumerate(zip(names, request["encodings"], strict=True)):
        mode = "r" if number == 0 else "w"
        buffering = 1 if number == 2 or os.isatty(number) else -1
        stream = open(number, mode, buffering, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
