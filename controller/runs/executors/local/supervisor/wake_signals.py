"""What can wake a supervisor that waits: a request to end (SIGTERM), and the end of a child (SIGCHLD)."""

import os
import signal


class WakeSignal:
    """Catches the signals from its making on. `descriptor` becomes readable at each of them."""

    def __init__(self) -> None:
        self.is_asked = False
        self.descriptor, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _ask(self, *_: object) -> None:
        self.is_asked = True

    def clear(self) -> None:
        """Be not readable until the next signal."""
        os.read(self.descriptor, 4096)
