"""The fork server: a small interpreter that has loaded what runs need, and forks a supervisor for each request.

`executors.local.fork_server_client` starts it with a socket as standard input; the server ends with that socket. It is
single-threaded, holds no state and sends no answers. A request names the directory of an attempt and carries the
socket of the new supervisor, which first sends a descriptor of itself over it. When the server dies or hangs, the
supervisors that it forked go on, and the launcher starts new ones cold.

A supervisor forks once more for a flow in a Python file. `as_new` makes that process look like a new interpreter.
"""

import _socket
import atexit
import gc
import itertools
import os
import signal
import sys
import time
import traceback
import types
from typing import Any, NamedTuple, NoReturn

from controller.runs.executors.local.supervisor import cold_start, flow_main, process_title, supervise

# What many flows use. Not `asyncio`, which is large. Not `threading`, and so not `logging`: what it does after each
# fork costs every run half as much again as the fork. (`_socket` is `socket` without its enums, for the same reason.)
import datetime  # isort: skip  # noqa: F401
import pathlib  # isort: skip  # noqa: F401


class New(NamedTuple):
    """What a new interpreter has that can't be seen from the request.

    `coerced`: the variables that it sets itself at its start (PEP 538: LC_CTYPE, where no language was chosen). `ours`:
    the modules that it does not have.
    """

    path: list[str]
    coerced: dict[str, str]
    ours: list[str]


def main(path: list[str]) -> int:
    """Serve until the socket ends. `path` is what sys.path is to be in a flow. Returns in a flow's process only."""
    began_with = process_title.environment()
    coerced = {name: value for name, value in os.environ.items() if name not in began_with}
    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    ours = [name for name in sys.modules if name.partition(".")[0] == "controller"]
    area = process_title.find()
    process_title.show(area, "controller fork server")
    flow_main.prepare()
    gc.collect()
    gc.freeze()
    while True:
        message, rights, _, _ = control.recvmsg(4096, _socket.CMSG_SPACE(4))
        if not message:
            os._exit(0)
        if not rights:
            continue  # no descriptor is free; its sender sees its socket closed
        own = int.from_bytes(rights[0][2][:4], sys.byteorder)
        try:
            pid = os.fork()
        except OSError as error:
            os.write(own, b"FAILED %d\n" % (error.errno or 0))
            os.close(own)
            continue
        if pid == 0:
            control.detach()  # its number becomes the input of the supervisor
            new = New(path=path, coerced=coerced, ours=ours)
            return _supervise(os.fsdecode(message), own, new, area, began_with)
        os.close(own)


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(directory: str, own: int, new: New, area: process_title.Area, began_with: dict[str, str]) -> int:
    """What the new process is from here on: a supervisor as after a cold start, with its socket as 0 and 1."""
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
        _become_cold(directory)

    def call(spec: dict[str, Any], env: dict[str, str]) -> int:
        process_title.show(area, f"controller flow {directory}", env)
        as_new(new, env)
        return _leave(flow_main.main, spec["root"])

    warmth = supervise.Warmth(call=call, environment=began_with)
    try:
        return supervise.main(directory, warmth)
    except Exception:  # noqa: BLE001 - whatever it is, this is where it can be told
        with open(f"{directory}/supervisor.log", "w", encoding="utf-8") as complaints:
            traceback.print_exc(file=complaints)
        os._exit(1)


def _become_cold(directory: str) -> NoReturn:
    """Go on as a supervisor in UTF-8 mode: names in a repository are UTF-8, and this locale can't spell them all."""
    errors = os.open(f"{directory}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.dup2(errors, 2)
    package = os.path.dirname(flow_main.PACKAGE)
    os.execve(sys.executable, [sys.executable, *cold_start.SUPERVISOR, package, directory], {})


def as_new(new: New, env: dict[str, str]) -> None:
    """Make this fork what a new interpreter would be: its environment, path and signals, and nothing of ours loaded."""
    os.environ.clear()
    os.environ.update(new.coerced)
    os.environ.update(env)
    if "TZ" in env:
        time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sys.path[:] = new.path
    sys.orig_argv[:] = [sys.executable, "-P", flow_main.__file__]
    for name in new.ours:
        del sys.modules[name]


def _leave(run: Any, root: str) -> int:
    """Run to the end, and end as an interpreter does.

    To take a whole interpreter apart costs more than a small flow. If only the standard library and the flow's own
    files were loaded it is enough to do what has an effect: threads, atexit, what is open. Else: return, have it all.
    """
    before = len(sys.modules)
    code: Any = 1
    try:
        code = run()
    except SystemExit as error:
        code = error.code
    # The newest come first. To look at all of them would copy every page that a name of one stands on.
    loaded = list(itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - before)))
    own = [name for name in loaded if not (_is_standard(name) or _is_ours(name))]
    if not all(_is_below(sys.modules[name], root) for name in own):
        sys.exit(code)
    if "threading" in sys.modules:
        try:
            sys.modules["threading"]._shutdown()
        except flow_main.Parts.stopping.RunStopped:
            sys.exit(code)
    if len(sys._current_frames()) > 1:
        sys.exit(code)  # daemon threads go on until the interpreter has gone
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
    for name in own:
        vars(sys.modules.pop(name)).clear()  # what is closed when it goes, goes now
    gc.collect(2 if gc.get_count()[2] else 1)  # nothing is in the oldest generation before its first round
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)


def _is_standard(name: str) -> bool:
    return name == "__main__" or name.partition(".")[0] in sys.stdlib_module_names


def _is_ours(name: str) -> bool:
    """What user code imports of us: the standard library alone is behind it."""
    if name == flow_main.MARK:
        return True
    known = name == "controller" or f"{name}.".startswith("controller.sdk.")
    return known and _is_below(sys.modules[name], flow_main.PACKAGE)


def _is_below(module: types.ModuleType, root: str) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.startswith(f"{root}/") and file.endswith(".py")
