"""Where the output of a run is: raw bytes in a file of its attempt's directory. Read by every surface."""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from stat import S_ISREG

from controller.runs.recovery import read_mark
from controller.time_format import shown

_OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled")
_ATTEMPT = re.compile(r"([0-9]+)-.*")


def log_files(runs_directory: Path, run_id: str) -> list[Path]:
    """The logs of a run's attempts, oldest first; tries that never started a flow have none.

    What is forgotten meanwhile is not among them, and may be gone when it is read.
    """
    found: list[tuple[int, int, Path]] = []
    with suppress(OSError):
        for directory in list((runs_directory / run_id).iterdir()):
            attempt = _ATTEMPT.fullmatch(directory.name)
            if attempt is not None:
                with suppress(OSError):
                    seen = (directory / "log").stat()
                    if S_ISREG(seen.st_mode):
                        found.append((int(attempt[1]), seen.st_ctime_ns, directory / "log"))
    return [path for _, _, path in sorted(found)]


def log_pieces(runs_directory: Path, run_id: str, zone: tzinfo | None = UTC) -> list[Path | bytes]:
    """The logs of a run's attempts, with a line between each two that says which attempt begins, when, and why.

    What has been printed stays where it is when another attempt follows. Whoever counts bytes gives no `zone`: it is
    that of the times in these lines, and another one may make them longer.
    """
    pieces: list[Path | bytes] = []
    before: Path | None = None
    for path in log_files(runs_directory, run_id):
        if before is not None:
            pieces.append(separator(before, path, zone))
        pieces.append(path)
        before = path
    return pieces


def separator(before: Path, path: Path, zone: tzinfo | None) -> bytes:
    """The line between the logs of two attempts, its time in `zone`."""
    number, _, nonce = path.parent.name.partition("-")
    words = [f"attempt {number}"]
    started = (read_mark(path.parent / "started", nonce) or {}).get("at")
    if isinstance(started, int | float):
        with suppress(ValueError, OverflowError, OSError):
            words.append(f"started {shown(datetime.fromtimestamp(started, UTC), zone)}")
    earlier, _, nonce = before.parent.name.partition("-")
    outcome = (read_mark(before.parent / "exit", nonce) or {}).get("outcome")
    state = outcome if outcome in _OUTCOMES else "crashed"
    words.append(f"after attempt {earlier} {state.replace('_', ' ')}")
    line = f"[controller: {', '.join(words)}]\n".encode()
    return line if _ends_a_line(before) else b"\n" + line


def _ends_a_line(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"
    return True
