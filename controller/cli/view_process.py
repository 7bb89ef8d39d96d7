"""The process that shows the live view for `controller run`. The controller itself never draws.

The process ends when the controller closes the pipe between them, or exits for any other reason. If it ends by itself
without the user's wish, the controller continues.
"""

import os
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.cli.standard_streams import write_to_terminal

_PATIENCE_SECONDS = 3.0
_RESTORE = "\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[?1004l\x1b[?7h\x1b[<u\x1b[0m"
"""Leaves the alternate screen, shows the cursor, and ends the modes that Textual sets."""


class ViewProcess:
    """The live view of one controller.

    `on_quit` is called when the user has asked to stop the controller, and `on_failure` with a message when the view
    has ended for another reason; both in a thread of their own.
    """

    def __init__(self, state: Path, *, on_quit: Callable[[], None], on_failure: Callable[[str], None]) -> None:
        self._on_quit = on_quit
        self._on_failure = on_failure
        self._is_stopping = threading.Event()
        self._is_restored = False
        self._modes = _terminal_modes()
        if self._modes is not None:
            # Keys from before the view must not answer its questions.
            with suppress(termios.error, OSError):
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
        read, self._write = os.pipe()
        # -P: a module in the current directory must not replace one of ours.
        command = [sys.executable, "-P", "-m", "controller.cli.live_view", str(state), str(read)]
        try:
            self._process = subprocess.Popen(command, pass_fds=(read,))
        finally:
            os.close(read)
        self._thread = threading.Thread(target=self._wait, name="view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the view, and restore the terminal if the view cannot do that itself."""
        self._is_stopping.set()
        os.close(self._write)
        try:
            code = self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._thread.join()
        if code < 0:
            self._restore()

    def _wait(self) -> None:
        code = self._process.wait()
        if self._is_stopping.is_set():
            return
        if code == 0:
            self._on_quit()
            return
        self._restore()
        ending = f"was killed by signal {-code}" if code < 0 else f"has failed with exit code {code}"
        self._on_failure(
            f"The live view {ending}. The controller continues; open the view again with `controller status --watch`."
        )

    def _restore(self) -> None:
        """Restore the terminal, once: leaving the alternate screen again would move the cursor over later lines."""
        if self._is_restored:
            return
        self._is_restored = True
        if self._modes is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._modes)
        write_to_terminal(_RESTORE)


def _terminal_modes() -> list[Any] | None:
    try:
        return list(termios.tcgetattr(sys.stdin.fileno()))
    except (termios.error, OSError, ValueError):
        return None
