"""The process in which `controller run` shows the live view: `python -m controller.cli.live_view STATE OWNER`.

STATE is the state directory, and OWNER a file descriptor that is closed when the controller ends.
"""

import sys
from pathlib import Path

from controller.cli.live_view.app import show_live_view
from controller.clock import SystemClock

if __name__ == "__main__":
    sys.exit(show_live_view(Path(sys.argv[1]), SystemClock(), owner=int(sys.argv[2])))
