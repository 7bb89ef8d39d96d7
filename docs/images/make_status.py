"""Draws docs/images/status.svg: the status view of a real controller that runs the examples of this repository.

    python docs/images/make_status.py

It copies `deployments/` and `flows/` into a new git repository in a temporary directory, runs a controller there,
waits until runs of several kinds have finished, and draws what `controller status` shows. Only the location of the
repository is replaced, by `~/examples`.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from controller.cli.terminal.status_view import render_status
from controller.clock import SystemClock
from controller.errors import StateError
from controller.queries.status import StatusView, read_status
from controller.settings import locate

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WIDTH = 130
PATIENCE_SECONDS = 90.0
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_COMMIT = ["-c", "user.name=example", "-c", "user.email=example@localhost", "commit", "--quiet", "-m", "The examples"]


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as directory, _controller(Path(directory)):
        _trigger(Path(directory))
        view = _wait_until_settled(Path(directory))
    (HERE / "status.svg").write_text(draw(view), encoding="utf-8")


def draw(view: StatusView) -> str:
    """Return the view as an SVG that loads nothing."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render_status(view, SystemClock().now()))
    return _FONT_FACE.sub("", console.export_svg(title="controller status", unique_id="status"))


@contextmanager
def _controller(repository: Path) -> Iterator[None]:
    for name in ("deployments", "flows", "schemas"):
        shutil.copytree(ROOT / name, repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    for command in (["init", "--quiet", "-b", "main"], ["add", "--all"], _COMMIT):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    arguments = [sys.executable, "-m", "controller", "run", "--repo", str(repository)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _read(repository: Path) -> StatusView:
    view = read_status(locate(str(repository), "deployments", None, None), SystemClock().now())
    return replace(view, source=replace(view.source, repo="~/examples"))


def _trigger(repository: Path) -> None:
    _wait_for(repository, lambda view: len(view.deployments) > 0)
    arguments = [sys.executable, "-m", "controller", "trigger", "my-first-deployment", "--repo", str(repository)]
    subprocess.run([*arguments, "--wait"], check=True, stdout=subprocess.DEVNULL)


def _wait_until_settled(repository: Path) -> StatusView:
    """Return a view in which every example that runs more often than hourly has run, and nothing is running."""
    names = {"disk-space", "heartbeat", "import-broken", "my-first-deployment", "sales-eu"}

    def is_settled(view: StatusView) -> bool:
        finished = {deployment.name for deployment in view.deployments if deployment.last_run is not None}
        return names <= finished and view.runs.running + view.runs.pending == 0

    return _wait_for(repository, is_settled)


def _wait_for(repository: Path, is_ready: Callable[[StatusView], bool]) -> StatusView:
    clock, pause = SystemClock(), threading.Event()
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while clock.monotonic() < deadline:
        with suppress(StateError):  # the state is just being created
            view = _read(repository)
            if is_ready(view):
                return view
        pause.wait(0.2)
    raise SystemExit("The examples did not finish in time. Is this machine very busy?")


if __name__ == "__main__":
    main()
