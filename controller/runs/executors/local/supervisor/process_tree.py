"""Finds, signals and kills all processes of a flow, including those in other sessions. Used by the supervisor.

The supervisor is a subreaper (prctl(2)): a process that loses its parent, for example by a double fork, becomes a child
of the supervisor instead of init. So every process of a flow stays below the supervisor until it ends, and ECHILD from
wait(2) proves that none is left.
"""

import contextlib
import ctypes
import os
import signal
import time

from controller.runs.executors.local.supervisor.cgroup import ControlGroup
from controller.runs.executors.local.supervisor.poll import ready

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own parent."""
    _PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which has just forked it, ends. Call after changing the user."""
    _PRCTL(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def descendants(top: int) -> list[int]:
    """Return the ids of all processes below `top`, parents first. More may appear at any time."""
    pids = _children(top)
    for pid in pids:
        pids.extend(_children(pid))
    return pids


def signal_all(number: int) -> None:
    """Send a signal to all processes below this one."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def reap(except_pid: int) -> None:
    """Reap adopted children that have ended, so that they don't remain zombies; don't reap `except_pid`."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == except_pid:
            return
        os.waitpid(ended.si_pid, 0)


def end_all(wake: int, seconds: float, group: ControlGroup | None) -> int:
    """Kill all processes below this one until none is left, for at most `seconds`. Return their number."""
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    while not _is_childless() and time.monotonic() < deadline:
        pids = descendants(os.getpid())
        killed.update(pids)
        if group is not None:
            group.kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # SIGCHLD triggers the next round, which also finds processes that were forked in the meantime.
        if ready([wake], 0.02):
            os.read(wake, 4096)
    return len(killed)


def sweep(attempt_id: str) -> int:
    """Kill every process with this attempt's id in its environment; return their number.

    The run's id is not enough: a copy of the state directory has it too, and the run of the copy may be alive.
    """
    killed = 0
    cookie = f"CONTROLLER_ATTEMPT_ID={attempt_id}".encode()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as stream:
                    is_own = cookie in stream.read().split(b"\0")
                if is_own:
                    os.kill(int(name), signal.SIGKILL)
                    killed += 1
    return killed


def _is_childless() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process (proc_pid_task(5)); on a kernel without it, read all of /proc."""
    pids: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", 0) as stream:
                pids += map(int, stream.read().split())
    except FileNotFoundError:
        return [] if os.path.exists("/proc/thread-self/children") else children_by_list(pid)
    except OSError:
        pass
    return pids


def children_by_list(parent: int) -> list[int]:
    """Return the children of a process by reading the parent of every process."""
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb", 0) as stream:
                    state, ppid = stream.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if int(ppid) == parent and state != b"Z":
                pids.append(int(name))
    return pids
