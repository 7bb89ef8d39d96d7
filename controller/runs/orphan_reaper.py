"""What the controller does where it inherits orphans: as PID 1 of a container, or as a subreaper (prctl(2)).

`controller run` calls `leave_reaper_behind` before it does anything else. The process that orphans are given to stays
behind, reaps them and passes signals on; the controller goes on in a child. So nothing takes away the exit status of a
process that the controller itself has started and waits for.
"""

import ctypes
import os
import signal
import sys

from controller.runs.executors.local.supervisor import process_tree

_PR_GET_CHILD_SUBREAPER = 37
_FAULTS = ("SEGV", "BUS", "FPE", "ILL", "TRAP", "ABRT", "SYS")
_OF_THE_TERMINAL = ("TSTP", "TTIN", "TTOU", "CONT")
_NEVER = ("KILL", "STOP")
_PASSED_ON = signal.valid_signals() - {
    signal.SIGCHLD,
    *(getattr(signal, f"SIG{name}") for name in (*_FAULTS, *_OF_THE_TERMINAL, *_NEVER)),
}


def inherits_orphans() -> bool:
    """Whether processes that lose their parent may become children of this one."""
    found = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    return os.getpid() == 1 or bool(found.value)


def leave_reaper_behind() -> None:
    """Return in a child if this process inherits orphans; it ends when the child does, with the same exit code.

    Called while there is one thread.
    """
    if not inherits_orphans():
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        process_tree.die_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_attend(child))


def _attend(child: int) -> int:
    while True:
        found = signal.sigwaitinfo(_PASSED_ON | {signal.SIGCHLD})
        if found.si_signo == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                return status if status >= 0 else 128 - status
        elif found.si_code <= 0:  # the terminal sends its signals to the child too
            os.kill(child, found.si_signo)


def _reap(child: int) -> int | None:
    """Reap all that have ended. The exit code of the child if it is among them, negative for a signal."""
    ended: int | None = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
