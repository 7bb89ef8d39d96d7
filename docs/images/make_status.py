"""Draws docs/images/status.svg: the live view of a real controller that runs the examples of this repository.

    python docs/images/make_status.py

It copies `deployments/` and `flows/` into a new git repository in a temporary directory, runs a controller there,
waits until runs of several kinds have finished, opens the live view without a terminal, and presses keys. The picture
shows the screens one after the other.
"""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from controller.cli.live_view.app import LiveView
from controller.cli.live_view.loader import Answer, Job
from controller.client import Client
from controller.clock import SystemClock
from controller.errors import StateError
from controller.queries.status import StatusView, read_status
from controller.settings import locate

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SIZE = (100, 18)
SECONDS = 4
KEYS: tuple[tuple[str, ...], ...] = ((), ("enter",), ("enter",), ("3",), ("4",), ("7",))
"""The keys before each screen: the problems, the first of them, its last run, all deployments, runs and commits."""
PATIENCE_SECONDS = 90.0
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_COMMIT = ["-c", "user.name=Ada Lovelace", "-c", "user.email=ada@localhost", "commit", "--quiet"]


class DirectLoader:
    """Sends each request of the live view at once."""

    def __init__(self, state: Path) -> None:
        self._client = Client.of_state(state)

    def submit(self, key: str, job: Job, done: Answer) -> None:  # noqa: ARG002
        """Send the requests of a job."""
        done(job(self._client))


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as directory:
        repository = Path(directory) / "examples"
        repository.mkdir()
        with _controller(repository):
            _trigger(repository)
            _wait_until_settled(repository)
            screens = asyncio.run(_screens(repository / ".git" / "controller"))
    (HERE / "status.svg").write_text(animate(screens), encoding="utf-8")


async def _screens(state: Path) -> list[str]:
    app = LiveView(lambda _: DirectLoader(state), SystemClock())
    screens = []
    async with app.run_test(size=SIZE) as pilot:
        app.view.on_change()
        for keys in KEYS:
            await pilot.press(*keys)
            app.draw()
            await pilot.pause()
            screens.append(app.export_screenshot(title="controller run", simplify=True))
    return screens


def animate(screens: list[str]) -> str:
    """Return one SVG, which loads nothing and shows the screens in turn, or only the first without animations."""
    opening = re.match(r"<svg [^>]*>", screens[0])
    assert opening is not None
    share = 100 / len(screens)
    style = f"""<style>
    .screen {{ visibility: hidden; animation: show {SECONDS * len(screens)}s step-end infinite; }}
    .screen:first-of-type {{ visibility: visible; }}
    @keyframes show {{ 0% {{ visibility: visible; }} {share:g}% {{ visibility: hidden; }} }}
    @media (prefers-reduced-motion) {{ .screen {{ animation: none; }} }}
    </style>"""
    frames = [
        f'<g class="screen" style="animation-delay: {(number - len(screens)) * SECONDS if number else 0}s">'
        f"{_content(screen)}</g>"
        for number, screen in enumerate(screens)
    ]
    return "\n".join([opening[0], style, *frames, "</svg>"]) + "\n"


def _content(screen: str) -> str:
    return _FONT_FACE.sub("", screen.partition(">")[2].rpartition("</svg>")[0])


@contextmanager
def _controller(repository: Path) -> Iterator[None]:
    for name in ("deployments", "flows", "schemas"):
        shutil.copytree(ROOT / name, repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    message = ["-m", "Add the examples"]
    for command in (["init", "--quiet", "-b", "main"], ["add", "--all"], [*_COMMIT, *message]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    arguments = [sys.executable, "-m", "controller", "run", "--repo", str(repository), "--listen", "none"]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def _read(repository: Path) -> StatusView:
    return read_status(locate(str(repository), "deployments", None, None), SystemClock().now())


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
