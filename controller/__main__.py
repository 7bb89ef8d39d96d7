"""The entry point of `controller` and of `python -m controller`: ensures UTF-8 and runs the command line."""

import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line with the arguments of this process, and exit with its exit code."""
    if sys.getfilesystemencoding() != "utf-8":
        _restart_in_utf8_mode()
    # Importing a command creates 100,000 objects and no garbage; looking for some would take a tenth of its time.
    gc.set_threshold(50_000)
    # The parent process may have ignored or blocked signals. If SIGCHLD is ignored, exit codes of git are lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        sys.exit(_run(sys.argv[1:]))
    except KeyboardInterrupt:  # while the modules of the command line are imported
        sys.exit(128 + signal.SIGINT)
    finally:
        gc.freeze()  # otherwise Python would collect garbage in all modules when the process exits


def _run(arguments: list[str]) -> int:
    from controller.cli.forwarded_commands import is_forwarded

    if is_forwarded(arguments):
        from controller.cli.command_client import run_in_server

        code = run_in_server(arguments)
        if code is not None:
            return code
    from controller.cli.main import run

    return run(arguments)


def _restart_in_utf8_mode() -> None:
    """Start Python again in UTF-8 mode in this process, and pass on the encoding of the terminal.

    Names of files and branches in git are almost always UTF-8, whatever the locale is. Without UTF-8 mode, a name that
    the locale's encoding lacks could not be opened. Returns only if Python can't be started again.
    """
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    options = ["-X", "utf8", "-X", f"controller-output={encoding}"]
    try:
        os.execv(sys.executable, [sys.executable, *options, *sys.orig_argv[1:]])
    except OSError:
        return


if __name__ == "__main__":
    main()
