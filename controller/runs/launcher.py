"""Starts the supervisor of one attempt and gives it leave to go on. Called by the engine.

Everything that the supervisor needs stands in the run's directory before it starts. The controller's environment does
not reach the flow; parameters reach it in a file, never through a shell or a command line.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.model.deployments import CommandTarget, Deployment
from controller.model.runs import Run
from controller.runs import flow_process, supervisor

END_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A supervisor that was started by this process; READY comes on its standard output."""

    process: subprocess.Popen[bytes]
    directory: Path

    def go(self) -> None:
        """Let it start the flow."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(b"GO\n")
            self.process.stdin.flush()
        self.close()

    def end(self) -> None:
        """See that the process is gone: one that was not let go ends by itself, if it can."""
        self.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Close the pipes: without GO, the supervisor ends and nothing runs."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """Where runs live, and what their flows get.

    `environment`: what every flow sees besides what its deployment declares. `grace`: from SIGTERM to SIGKILL.
    """

    directory: Path
    environment: Mapping[str, str]
    grace: timedelta

    def attempt_directory(self, run_id: str, number: int, nonce: str) -> Path:
        """Where the files of one attempt are."""
        return self.directory / run_id / f"{number}-{nonce}"

    def launch(self, run: Run, deployment: Deployment, root: Path, *, nonce: str, pycache: Path | None) -> Launch:
        """Write the attempt's directory and start its supervisor. Raises OSError."""
        directory = self.attempt_directory(run.id, run.attempt, nonce)
        directory.parent.mkdir(exist_ok=True, mode=0o700)
        for private in (directory, directory / "tmp"):
            private.mkdir(mode=0o700)
        target = deployment.target
        call: dict[str, Any] = {}
        argv = [sys.executable, "-P", flow_process.__file__]
        if isinstance(target, CommandTarget):
            argv = list(target.argv)
        else:
            call = {"root": str(root), "path": target.path, "name": target.name, "pycache": pycache and str(pycache)}
        _write(directory / "call.json", {**call, "parameters": run.parameters})
        spec = {
            "nonce": nonce,
            "argv": argv,
            "cwd": str(root / deployment.working_directory),
            "env": self._environment(run, deployment, directory),
            "timeout": None if deployment.timeout is None else deployment.timeout.total_seconds(),
            "grace": self.grace.total_seconds(),
        }
        _write(directory / "run.json", spec)
        for parent in (directory, directory.parent, directory.parent.parent):
            _sync(parent)
        with open(directory / "supervisor.log", "wb", opener=_private) as errors:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", supervisor.__file__, str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={},
                cwd="/",
                start_new_session=True,
            )
        return Launch(process=process, directory=directory)

    def _environment(self, run: Run, deployment: Deployment, directory: Path) -> dict[str, str]:
        scheduled_for = "" if run.scheduled_for is None else run.scheduled_for.isoformat().replace("+00:00", "Z")
        return {
            **self.environment,
            **deployment.env,
            "TMPDIR": str(directory / "tmp"),
            "CONTROLLER_RUN_ID": run.id,
            "CONTROLLER_DEPLOYMENT": run.deployment,
            "CONTROLLER_ATTEMPT": str(run.attempt),
            "CONTROLLER_SCHEDULED_FOR": scheduled_for,
            "CONTROLLER_REVISION": run.revision,
        }


def sweep(run_id: str) -> int:
    """Kill what a run left behind whose supervisor is gone, found by the run's id in its environment; how many."""
    killed = 0
    cookie = f"CONTROLLER_RUN_ID={run_id}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if cookie in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed += 1
    return killed


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
