"""The command `controller`, and `python -m controller`: makes sure of UTF-8 and calls the command line."""

import os
import signal
import sys


def main() -> None:
    """Run the command line with this process's arguments and end with its exit code."""
    if sys.getfilesystemencoding() != "utf-8":
        _restart_in_utf8_mode()
    from controller.cli.main import run

    # Whoever started us may ignore or block them. Without the first, no exit code of git could be had.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    sys.exit(run(sys.argv[1:]))


def _restart_in_utf8_mode() -> None:
    """Start Python again in its UTF-8 mode, in this process, and tell it in which encoding the terminal shows text.

    Git names files, branches and arguments in bytes that are UTF-8 nearly always, whatever the locale says. Without
    UTF-8 mode a name that the locale cannot express could not be opened. Returns if Python cannot be started again.
    """
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    options = ["-X", "utf8", "-X", f"controller-output={encoding}"]
    try:
        os.execv(sys.executable, [sys.executable, *options, *sys.orig_argv[1:]])
    except OSError:
        return


if __name__ == "__main__":
    main()
