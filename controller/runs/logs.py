"""Where the output of a run is: raw bytes in a file of its attempt's directory. Read by every surface."""

from pathlib import Path


def log_files(runs_directory: Path, run_id: str) -> list[Path]:
    """The logs of a run's attempts, oldest first; tries that never started a flow have none."""
    found = [path for path in (runs_directory / run_id).glob("*-*/log") if path.is_file()]
    return sorted(found, key=lambda path: (int(path.parent.name.partition("-")[0]), path.stat().st_ctime_ns))
