"""A real Python environment with tiny packages, and runs of flows in it."""

import json
import select
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.clock import SystemClock
from controller.model.deployments import CommandTarget, Deployment, FlowTarget, Target
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Run, RunState, Trigger
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.interpreter import install_sdk
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.python_servers import PythonServers
from controller.runs.executors.local.users import FlowUser
from controller.runs.ids import RunIds
from tests.conftest import NOW, PATIENCE_SECONDS, wait_until

SERVED_PATH = "/usr/bin:/bin"


def make_environment(directory: Path, interpreter: str, packages: Mapping[str, str]) -> PythonRuntime:
    """Make a virtual environment with these files in its site-packages."""
    subprocess.run([interpreter, "-m", "venv", "--without-pip", str(directory)], check=True)
    executable = directory / "bin" / "python"
    script = "import sysconfig, platform; print(sysconfig.get_path('purelib'), platform.python_version())"
    done = subprocess.run([str(executable), "-c", script], capture_output=True, text=True, check=True)
    folder, version = done.stdout.split()
    for path, text in packages.items():
        file = Path(folder) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return PythonRuntime(executable=str(executable), digest=directory.name, version=version)


@dataclass(slots=True)
class Flows:
    """Runs flows of `root` in environments, with a launcher whose state is in `state`."""

    root: Path
    state: Path
    user: FlowUser | None = None
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": SERVED_PATH})
    servers: PythonServers = field(init=False)
    launcher: Launcher = field(init=False)

    def __post_init__(self) -> None:
        (self.state / "runs").mkdir(parents=True)
        self.root.mkdir(exist_ok=True)
        self.servers = PythonServers(self.environment, SystemClock())
        self.launcher = Launcher(
            directory=self.state / "runs",
            environment=self.environment,
            grace=timedelta(seconds=1),
            server=ForkServer(self.environment, SystemClock()),
            python_servers=self.servers,
            user=self.user,
        )

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def run(
        self,
        flow: str | list[str],
        python: PythonRuntime | None,
        parameters: Mapping[str, Any] | None = None,
        *,
        pycache: Path | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Run `path.py:name`, `module:name` or a command to its end; return `exit`, with the log and the reports."""
        deployment = deployment_of(flow, **more)
        run = replace(launching_run(), parameters=parameters or {})
        launch = self.launcher.launch(run, deployment, self.root, nonce="c0ffee", pycache=pycache, python=python)
        launch.wire.settimeout(PATIENCE_SECONDS)
        while not launch.is_ready:
            assert launch.receive()
        launch.send_go()
        assert launch.handle is not None
        assert select.select([launch.handle], [], [], PATIENCE_SECONDS)[0]
        launch.terminate()
        launch.detach()
        ending: dict[str, Any] = json.loads((launch.directory / "exit").read_bytes())
        events = launch.directory / "events.jsonl"
        log = launch.directory / "log"
        return {
            **ending,
            "log": log.read_text(encoding="utf-8") if log.exists() else "",
            "events": events.read_text(encoding="utf-8") if events.exists() else "",
        }

    def warm_up(self, python: PythonRuntime) -> ForkServer:
        """Start the fork server of the environment, and wait until it is ready or has given up."""
        if self.servers.find(python) is None:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                assert not self.servers.request_fork(python, install_sdk(self.state / "sdk"), self.state, theirs)
        server = self.servers.find(python)
        assert server is not None

        def is_settled() -> bool:
            server.check()
            return server.is_ready or server.problem is not None

        wait_until(is_settled)
        return server


def deployment_of(flow: str | list[str], **more: Any) -> Deployment:
    """Return a deployment of `path.py:name`, `module:name` or a command."""
    target: Target
    if isinstance(flow, list):
        target = CommandTarget(argv=tuple(flow))
    else:
        place, _, name = flow.partition(":")
        is_file = place.endswith(".py")
        target = FlowTarget(path=place if is_file else "", name=name or None, module=None if is_file else place)
    return Deployment(name="a", target=target, file="a.yaml", line=1, document={}, spec_digest="d", **more)


def launching_run() -> Run:
    """Return a new run of the deployment of `deployment_of`, in its first attempt."""
    return Run(
        id=RunIds().new(NOW),
        deployment="a",
        file="a.yaml",
        state=RunState.LAUNCHING,
        trigger=Trigger.MANUAL,
        created_at=NOW,
        attempt=1,
        revision="r",
        spec_digest="d",
    )
