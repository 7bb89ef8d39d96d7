"""The command `controller`, and `python -m controller`. All it does is call the command line."""

import sys


def main() -> None:
    """Run the command line with this process's arguments and end with its exit code."""
    from controller.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
