"""The signals that wake a waiting supervisor: SIGTERM, a stop request, and SIGCHLD, the end of a child."""

import os
import signal


class WakeSignal:
    """Handles the signals once it is created. `descriptor` becomes readable at each signal."""

    def __init__(self) -> None:
        self.is_stop_requested = False
        self.descriptor, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGTERM, self._request_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _request_stop(self, *_: object) -> None:
        self.is_stop_requested = True

    def clear(self) -> None:
        """Drain the descriptor, so that it is not readable until the next signal."""
        os.read(self.descriptor, 4096)
