"""Where the output of a run is: raw bytes in a file of its attempt's directory. Read by every surface."""

import re
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

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
