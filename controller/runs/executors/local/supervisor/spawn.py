"""Starts the process of a flow: fork, session, limits, user and descriptors, then exec or call.

Used by the supervisor. The flow has only the descriptors 0 to 4: an empty input, its output twice, the call (3), and
the pipe for its reports (4). A command also has its parameters (5). A fork has the call already, and no descriptor 3.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import errno
import fcntl
import json
import marshal
import os
import re
import signal

from controller.runs.executors.local.supervisor import process_tree
from controller.runs.executors.local.supervisor.cgroup import ControlGroup
from controller.runs.executors.local.supervisor.resource_limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALL_FD = 3
EVENTS_FD = 4
MARSHAL_VERSION = 2
"""The format of the call of a flow. Python 3.10 to 3.14 read and write it."""
PARAMETERS_FD = 5
PARAMETERS_FILE = "parameters.json"
"""The parameters of a command as a JSON object, in the attempt's directory; also readable from descriptor 5."""

# Variables that the interpreter or the loader read only at start, so that they have no effect in a fork.
_READ_AT_START = re.compile(r"PYTHON|LC_|LANG|LD_|MALLOC_|GLIBC_|HOME$")
# Variables that libraries read when they are imported, so that they have no effect once they are preloaded.
_READ_AT_IMPORT = re.compile(
    rf"{_READ_AT_START.pattern}|OMP_|OPENBLAS_|MKL_|BLIS_|NUMEXPR_|KMP_|GOTO_|ARROW_|MPL|POLARS_"
)


class Pipes:
    """The flow's ends of the pipes: its output and its reports."""

    def __init__(self, output: int, events: int) -> None:
        self.output = output
        self.events = events


def may_fork(spec: dict[str, Any], env: dict[str, str], environment: dict[str, str], *, has_preloaded: bool) -> bool:
    """Return whether a fork of this process, started with `environment`, can replace a new interpreter with `env`."""
    if "path" not in spec["call"] or spec.get("user") is not None:
        return False
    pattern = _READ_AT_IMPORT if has_preloaded else _READ_AT_START
    return _matching(pattern, env) == _matching(pattern, environment)


def start(
    spec: dict[str, Any],
    env: dict[str, str],
    pipes: Pipes,
    limits: Limits,
    group: ControlGroup | None,
    *,
    is_fork: bool,
) -> int:
    """Fork and execute `argv`; with `is_fork`, return 0 in the child instead. Raises the child's OSError."""
    parent = os.getpid()
    call = -1 if is_fork else _in_memory(spec["call"])
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    failure, report = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            targets = {0: null, 1: pipes.output, 2: pipes.output, EVENTS_FD: pipes.events}
            if not is_fork:
                targets[CALL_FD] = call
            if spec.get("has_parameters_file"):
                targets[PARAMETERS_FD] = os.open(PARAMETERS_FILE, os.O_RDONLY | os.O_CLOEXEC)
            _prepare_process(spec, parent, limits, group, targets)
            if is_fork:
                os.closerange(CALL_FD, EVENTS_FD)
                os.closerange(EVENTS_FD + 1, 1 << 20)  # closing `report` signals success
                return 0
            _execute(spec["argv"], env)
        except OSError as error:
            os.write(report, f"{error.errno} {error.filename or ''}".encode("utf-8", "surrogateescape"))
        except BaseException:  # noqa: BLE001 - this process must never continue as a supervisor
            os.write(report, b"%d " % errno.EINVAL)
        os._exit(127)
    for descriptor in (null, report) if is_fork else (null, report, call):
        os.close(descriptor)
    message = os.read(failure, 8192).decode("utf-8", "surrogateescape")
    os.close(failure)
    if message:
        os.waitpid(pid, 0)
        number, _, name = message.partition(" ")
        raise OSError(int(number), os.strerror(int(number)), name or spec["argv"][0])
    return pid


def _prepare_process(
    spec: dict[str, Any], parent: int, limits: Limits, group: ControlGroup | None, targets: dict[int, int]
) -> None:
    os.setsid()
    if group is not None:
        group.enter()
    user = spec.get("user")
    limits.apply(group, os.getuid() if user is None else user["uid"])
    if user is not None:
        os.setgroups(user["groups"])
        os.setgid(user["gid"])
        os.setuid(user["uid"])
    process_tree.die_with(parent)
    os.umask(0o077)
    signal.set_wakeup_fd(-1)
    reset_signals()
    high = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, max(targets) + 1) for target, source in targets.items()}
    for target, source in high.items():
        os.dup2(source, target)
    limits.apply_open_files()
    os.chdir(spec["cwd"])


def reset_signals() -> None:
    """Set all signals to their default action and unblock them, as a shell does for a command.

    A controller that a script started in the background ignores SIGINT and SIGQUIT, and one below nohup ignores SIGHUP.
    The functions of `signal` convert every number to an enum, which would take a fork longer than everything else here.
    """
    for number in _signal.valid_signals():
        if number not in (_signal.SIGKILL, _signal.SIGSTOP) and _signal.getsignal(number) != _signal.SIG_DFL:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _execute(argv: list[str], env: dict[str, str]) -> None:
    for path in _candidates(argv[0], env.get("PATH", "")):
        try:
            os.execve(path, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])


def _candidates(program: str, path: str) -> list[str]:
    return [program] if "/" in program else [f"{directory}/{program}" for directory in path.split(":") if directory]


def encode_call(call: dict[str, Any]) -> bytes:
    """Return what a new interpreter or a command reads from `CALL_FD`. Only a command gets it as JSON."""
    return marshal.dumps(call, MARSHAL_VERSION) if "name" in call else json.dumps(call).encode()


def _in_memory(call: dict[str, Any]) -> int:
    """Return the descriptor of an unnamed file that contains the call, positioned at its start."""
    descriptor = os.memfd_create("call", os.MFD_CLOEXEC)
    rest = memoryview(encode_call(call))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _matching(pattern: re.Pattern[str], environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if pattern.match(name)}
