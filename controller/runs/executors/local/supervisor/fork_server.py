"""The fork server: a small interpreter with preloaded modules that forks a supervisor for each request.

`executors.local.fork_server_client` starts it with a socket as standard input; the server exits when that socket is
closed. It is single-threaded and has no state. First it sends READY, or PROBLEM with the reason why it exits; after
that it sends no responses. A request contains the directory of an attempt and the socket of the new supervisor, which
first sends a pidfd of itself over it. If the server dies or hangs, the supervisors that it forked keep running, and the
launcher starts new ones cold.

The controller has one of its own interpreter, and one of each Python environment in use. That one first imports the
modules that deployments preload.

A supervisor forks again for a flow in a Python file. `reset_interpreter` makes that process look like a new
interpreter.
"""

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import _socket
import contextlib
import gc
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from controller.runs.executors.local.supervisor import cold_start, flow_call, flow_main, process_title, supervise

# Modules used by many flows. Not `asyncio`, which is large. Not `threading`, and therefore not `logging`: its handlers
# make each fork 50 % slower. (`_socket` and `_signal` are those modules without their enums, for the same reason.)
import datetime  # isort: skip  # noqa: F401
import pathlib  # isort: skip  # noqa: F401


REQUIRED = ((os, "pidfd_open"), (os, "memfd_create"), (signal, "pidfd_send_signal"))
"""The functions that a supervisor needs. An interpreter that was built on an old system may lack them."""


class InitialState(NamedTuple):
    """The state of a new interpreter, as far as the request does not contain it.

    `path` is its sys.path. `coerced` are the variables that an interpreter sets itself at start (PEP 538: LC_CTYPE, if
    no locale is configured). `preloaded` are the installed packages of which modules are loaded.
    """

    path: list[str]
    coerced: dict[str, str]
    preloaded: frozenset[str]


class _UnusableError(Exception):
    """The reason why this interpreter, or what it preloads, can't be forked from."""


def main(path: list[str], sdk: str = "", preload: Sequence[str] = ()) -> int:
    """Serve until the socket is closed. Returns only in the process of a flow.

    `path` is the sys.path of flows. In a Python environment, `sdk` is the folder with the copy of our SDK, and
    `preload` are the modules to import first.
    """
    began_with = process_title.environment()
    coerced = {name: value for name, value in os.environ.items() if name not in began_with}
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    area = process_title.find()
    process_title.show(area, "controller fork server")
    flow_call.prepare()
    # A new interpreter would not have loaded our modules, and preloaded modules must import the copy of our SDK.
    for name in [name for name in sys.modules if name.partition(".")[0] == "controller"]:
        del sys.modules[name]
    try:
        _preload(preload, sdk)
    except _UnusableError as error:
        control.send(b"PROBLEM " + str(error).encode(errors="replace")[:4000])
        os._exit(0)
    control.send(b"READY")
    initial = InitialState(path=path, coerced=coerced, preloaded=_installed() if preload else frozenset())
    gc.collect()
    gc.freeze()
    while True:
        message, rights, _, _ = control.recvmsg(4096, _socket.CMSG_SPACE(4))
        if not message:
            os._exit(0)
        if not rights:
            continue  # no descriptor was free; the sender sees that its socket is closed
        own = int.from_bytes(rights[0][2][:4], sys.byteorder)
        try:
            pid = os.fork()
        except OSError as error:
            os.write(own, b"FAILED %d\n" % (error.errno or 0))
            os.close(own)
            continue
        if pid == 0:
            control.detach()  # its number becomes the input of the supervisor
            return _supervise(os.fsdecode(message), own, initial, area, began_with)
        os.close(own)


def _preload(names: Sequence[str], sdk: str) -> None:
    """Import these modules. Raises _UnusableError if runs can't be forked from this process afterwards."""
    missing = [f"{module.__name__}.{name}" for module, name in REQUIRED if not hasattr(module, name)]
    if missing:
        raise _UnusableError(f"this Python was built without {', '.join(missing)}")
    before = sys.path[:]
    if sdk:
        sys.path.append(sdk)
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - it can raise anything
            raise _UnusableError(f"preloading {name} failed: {type(error).__name__}: {error}") from None
        if _has_threads():
            raise _UnusableError(f"{name} starts threads while it is imported")
    sys.path[:] = before


def _has_threads() -> bool:
    """Return whether this process has threads that a fork would lose. Some libraries end theirs before each fork."""
    if len(os.listdir("/proc/self/task")) == 1:
        return False
    if (pid := os.fork()) == 0:
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return len(os.listdir("/proc/self/task")) > 1


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(
    directory: str, own: int, initial: InitialState, area: process_title.Area, began_with: dict[str, str]
) -> int:
    """Become a supervisor, as after a cold start, with its socket as descriptors 0 and 1."""
    os.setsid()
    os.umask(0o077)
    process_title.show(area, f"controller supervisor {directory}")
    os.dup2(own, 0)
    os.dup2(own, 1)
    os.close(own)
    handle = os.pidfd_open(os.getpid())
    wire = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(0))
    try:
        wire.sendmsg([b"I AM\n"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, handle.to_bytes(4, sys.byteorder))])
    except ConnectionError:  # the controller has died
        os._exit(0)
    wire.close()
    os.close(handle)
    if sys.getfilesystemencoding() != "utf-8":
        _restart_cold(directory)

    def call(spec: dict[str, Any], env: dict[str, str]) -> int:
        process_title.show(area, f"controller flow {directory}", env)
        reset_interpreter(initial, env)
        own = flow_call.OwnModules
        return int(own.exit.run_and_exit(lambda: flow_call.main(spec), spec["root"], own, initial.preloaded))

    has_preloaded = bool(initial.preloaded)
    warm_start = supervise.WarmStart(call, began_with, sys.orig_argv[0], has_preloaded=has_preloaded)
    try:
        return supervise.main(directory, warm_start)
    except Exception:  # noqa: BLE001 - this is the only place where any error can be reported
        with open(f"{directory}/supervisor.log", "w", encoding="utf-8") as stream:
            traceback.print_exc(file=stream)
        os._exit(1)


def _restart_cold(directory: str) -> NoReturn:
    """Restart as a supervisor in UTF-8 mode: names in a repository are UTF-8, which this locale can't encode."""
    errors = os.open(f"{directory}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.dup2(errors, 2)
    package = os.path.dirname(flow_call.PACKAGE)
    os.execve(sys.executable, [sys.executable, *cold_start.SUPERVISOR, package, directory], {})


def reset_interpreter(initial: InitialState, env: dict[str, str]) -> None:
    """Give this fork the environment, path, signals and modules of a new interpreter."""
    _change_environment({**initial.coerced, **env})
    if "TZ" in env:
        time.tzset()
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_IGN)
    sys.path[:] = initial.path
    sys.orig_argv[sys.orig_argv.index("-c") :] = [flow_main.__file__]
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # otherwise all flows would draw the same numbers


def _change_environment(env: dict[str, str]) -> None:
    """Make `env` the environment. Variables that already have their value are not written again."""
    before = os.environ.copy()
    for name in before.keys() - env.keys():
        del os.environ[name]
    for name, value in env.items():
        if before.get(name) != value:
            os.environ[name] = value


def _installed() -> frozenset[str]:
    """Return the installed packages of which modules are loaded, by their top-level names."""
    importlib.import_module("ctypes")  # the end of a flow needs it; loaded once, before the forks
    return frozenset(name.partition(".")[0] for name in sys.modules if not flow_call.OwnModules.exit.is_standard(name))
