"""The command `controller`, and `python -m controller`. All it does is call the command line."""

import signal
import sys


def main() -> None:
    """Run the command line with this process's arguments and end with its exit code."""
    from controller.cli.main import run

    # Whoever started us may ignore or block them. Without the first, no exit code of git could be had.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
