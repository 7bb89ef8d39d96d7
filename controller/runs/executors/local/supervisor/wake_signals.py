"""The signals that wake a waiting supervisor: SIGTERM, a stop request, and SIGCHLD, the end of a child."""

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import os


class WakeSignal:
    """Handles the signals once it is created. `descriptor` becomes readable at each signal."""

    def __init__(self) -> None:
        self.is_stop_requested = False
        self.descriptor, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # The functions of `signal` convert every number to an enum, which makes them slow in a fork.
        _signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        _signal.signal(_signal.SIGTERM, self._request_stop)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)

    def _request_stop(self, *_: object) -> None:
        self.is_stop_requested = True

    def clear(self) -> None:
        """Drain the descriptor, so that it is not readable until the next signal."""
        os.read(self.descriptor, 4096)
