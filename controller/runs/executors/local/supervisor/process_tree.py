"""All processes of a flow, wherever they went: found, signalled and ended. Used by the supervisor.

The supervisor is a subreaper (prctl(2)): whoever loses its parent, by a double fork or in a session of its own, becomes
its child and not init's. So everything that a flow has started is below the supervisor until it is gone, and "no
child is left" (ECHILD of wait(2)) is a proof that nothing is.
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
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which has just forked it, ends. After any change of user."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def descendants(top: int) -> list[int]:
    """Everything below this process, children before their children. A moment later there may be more."""
    found = _children(top)
    for pid in found:
        found.extend(_children(pid))
    return found


def signal_all(number: int) -> None:
    """Send a signal to everything below this process."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def reap(but: int) -> None:
    """Take notice of the end of adopted children, so that they don't stay as zombies; `but` is left alone."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == but:
            return
        os.waitpid(ended.si_pid, 0)


def end_all(wake: int, seconds: float, group: ControlGroup | None) -> int:
    """Kill everything below this process until nothing is left; how many that were. Gives up after `seconds`."""
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    while not _is_childless() and time.monotonic() < deadline:
        left = descendants(os.getpid())
        killed.update(left)
        if group is not None:
            group.kill()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # A SIGCHLD says when to look again; who forks faster than that is met by the next round.
        if ready([wake], 0.02):
            os.read(wake, 4096)
    return len(killed)


def _is_childless() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _children(pid: int) -> list[int]:
    """The children of all threads of a process (proc_pid_task(5)); by the process list on a kernel without it."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", 0) as stream:
                found += map(int, stream.read().split())
    except FileNotFoundError:
        return [] if os.path.exists("/proc/thread-self/children") else children_by_list(pid)
    except OSError:
        pass
    return found


def children_by_list(parent: int) -> list[int]:
    """The children of a process, by looking at every process that there is."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb", 0) as stream:
                    state, ppid = stream.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            if int(ppid) == parent and state != b"Z":
                found.append(int(name))
    return found
