"""Reaps orphaned processes if the controller inherits them: as PID 1 of a container, or as a subreaper (prctl(2)).

`controller run` calls `leave_reaper_behind` before it does anything else. The original process, which inherits the
orphans, remains as a reaper and forwards signals, and the controller continues in a child. This way the reaper never
consumes the exit status of a process that the controller itself started and waits for.
"""

import ctypes
import os
import signal
import sys

from controller.runs.executors.local.supervisor import process_tree

_PR_GET_CHILD_SUBREAPER = 37
_FAULTS = ("SEGV", "BUS", "FPE", "ILL", "TRAP", "ABRT", "SYS")
_JOB_CONTROL = ("TSTP", "TTIN", "TTOU", "CONT")
_UNCATCHABLE = ("KILL", "STOP")
_FORWARDED = signal.valid_signals() - {
    signal.SIGCHLD,
    *(getattr(signal, f"SIG{name}") for name in (*_FAULTS, *_JOB_CONTROL, *_UNCATCHABLE)),
}


def inherits_orphans() -> bool:
    """Whether orphaned processes may become children of this process."""
    is_subreaper = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(is_subreaper), 0, 0, 0)
    return os.getpid() == 1 or bool(is_subreaper.value)


def leave_reaper_behind() -> None:
    """If this process inherits orphans, fork and return in the child.

    The original process exits when the child does, with the same exit code. Call it while there is only one thread.
    """
    if not inherits_orphans():
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        process_tree.die_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_reap_until_exit(child))


def _reap_until_exit(child: int) -> int:
    while True:
        received = signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD})
        if received.si_signo == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                return status if status >= 0 else 128 - status
        elif received.si_code <= 0:  # the terminal sends its signals to the child too
            os.kill(child, received.si_signo)


def _reap(child: int) -> int | None:
    """Reap all processes that have ended. Return the child's exit code, negative for a signal, if it is among them."""
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
