"""From a supervisor's fork to the first instruction of the flow: session, limits, user, descriptors, then exec or call.

Used by the supervisor. The flow has descriptors 0 to 4 and no others: an empty input, its output twice, the call (3),
and the pipe for what it reports (4). A command also has its parameters (5).
"""

import errno
import fcntl
import json
import os
import re
import signal
from typing import Any, NamedTuple

from controller.runs.executors.local.supervisor import process_tree
from controller.runs.executors.local.supervisor.cgroup import ControlGroup
from controller.runs.executors.local.supervisor.resource_limits import Limits

CALL_FD = 3
EVENTS_FD = 4
PARAMETERS_FD = 5
PARAMETERS_FILE = "parameters.json"
"""In the attempt's directory, for a command: a JSON object, which descriptor 5 gives too."""

# What the interpreter or the loader read at their start, so that a fork of a running one can't take it up.
_READ_AT_START = re.compile(r"PYTHON|LC_|LANG|LD_|MALLOC_|GLIBC_|HOME$")


class Pipes(NamedTuple):
    """The flow's ends: both outputs, and what it reports."""

    output: int
    events: int


def may_fork(spec: dict[str, Any], environment: dict[str, str]) -> bool:
    """Whether a fork of this process, which has this environment, is all that a new interpreter would be."""
    if "path" not in spec["call"] or spec.get("user") is not None:
        return False
    return _start_variables(spec["env"]) == _start_variables(environment)


def start(
    spec: dict[str, Any],
    env: dict[str, str],
    pipes: Pipes,
    limits: Limits,
    group: ControlGroup | None,
    *,
    is_fork: bool,
) -> int:
    """Fork, and execute `argv`; with `is_fork` return 0 in the child instead. Raises the child's OSError."""
    parent = os.getpid()
    call = _in_memory(spec["call"])
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    failure, report = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            targets = {0: null, 1: pipes.output, 2: pipes.output, CALL_FD: call, EVENTS_FD: pipes.events}
            if spec.get("has_parameters_file"):
                targets[PARAMETERS_FD] = os.open(PARAMETERS_FILE, os.O_RDONLY | os.O_CLOEXEC)
            _become(spec, parent, limits, group, targets)
            if is_fork:
                os.closerange(EVENTS_FD + 1, 1 << 20)  # the report among them, which says that all went well
                return 0
            _execute(spec["argv"], env)
        except OSError as error:
            os.write(report, f"{error.errno} {error.filename or ''}".encode("utf-8", "surrogateescape"))
        except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a supervisor
            os.write(report, b"%d " % errno.EINVAL)
        os._exit(127)
    for descriptor in (null, report, call):
        os.close(descriptor)
    said = os.read(failure, 8192).decode("utf-8", "surrogateescape")
    os.close(failure)
    if said:
        os.waitpid(pid, 0)
        number, _, name = said.partition(" ")
        raise OSError(int(number), os.strerror(int(number)), name or spec["argv"][0])
    return pid


def _become(
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
    forget_signals()
    high = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, max(targets) + 1) for target, source in targets.items()}
    for target, source in high.items():
        os.dup2(source, target)
    limits.apply_open_files()
    os.chdir(spec["cwd"])


def forget_signals() -> None:
    """Have every signal do what it does by default, and block none: what a shell gives to a command.

    A controller that a script has started in the background ignores SIGINT and SIGQUIT, one below nohup SIGHUP.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(argv: list[str], env: dict[str, str]) -> None:
    for path in _candidates(argv[0], env.get("PATH", "")):
        try:
            os.execve(path, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])


def _candidates(program: str, path: str) -> list[str]:
    return [program] if "/" in program else [f"{directory}/{program}" for directory in path.split(":") if directory]


def _in_memory(call: dict[str, Any]) -> int:
    """A file without a name that holds the call, to be read from its beginning."""
    descriptor = os.memfd_create("call", os.MFD_CLOEXEC)
    rest = memoryview(json.dumps(call).encode())
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _start_variables(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if _READ_AT_START.match(name)}
