"""Starts the supervisor of one attempt and gives it leave to go on. Called by the watchlist, from the engine's thread.

Everything that the supervisor needs stands in the run's directory before it starts, but for secrets, which are nowhere
on disk. It is forked by the fork server if that can be asked, else started cold; what follows is the same.
"""

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller import crashpoints
from controller.errors import shortage
from controller.model.deployments import CommandTarget, Deployment
from controller.model.policies import EnvSecret
from controller.model.runs import Run
from controller.runs.executors.local import cgroups
from controller.runs.executors.local.fork_server_client import PACKAGE, ForkServer
from controller.runs.executors.local.supervisor import cold_start, flow_main
from controller.runs.executors.local.supervisor.poll import ready
from controller.runs.executors.local.supervisor.spawn import PARAMETERS_FD, PARAMETERS_FILE
from controller.runs.executors.local.users import FlowUser, let_pass, own_directory
from controller.runs.flow_environment import declared_environment, has_own_bytecode, has_own_temporary
from controller.sources.source import as_text

END_SECONDS = 2.0
LOG_BYTES = 64 << 20
_FAILED = re.compile(rb"FAILED ([0-9]{1,4})\n")


@dataclass(slots=True, kw_only=True)
class Launch:
    """A supervisor that was asked for by this process. `wire`: its socket, on which it says READY and hears GO.

    `process` is None for one that the fork server was asked for; that one sends `handle`, a pidfd of itself.
    `want`: what the machine was short of, so that there is no supervisor, or none that can be waited for.
    """

    wire: socket.socket
    directory: Path
    secrets: Mapping[str, str | None]
    process: subprocess.Popen[bytes] | None = None
    handle: int | None = None
    is_ready: bool = False
    want: str | None = None
    _heard: bytes = field(default=b"", init=False)

    def hear(self) -> bool:
        """Take what it says; False once it has ended without READY."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self.wire, 64, 1)
        except BlockingIOError:
            return True
        except OSError as error:
            self.want = shortage(error)
            return False
        self._heard += data
        for descriptor in descriptors:
            self.handle = descriptor
        if flags & socket.MSG_CTRUNC:
            self.want = shortage(OSError(errno.EMFILE, ""))  # its handle came, and there was no room for it
        if (failed := _FAILED.search(self._heard)) is not None:
            self.want = shortage(OSError(int(failed[1]), "")) or self.want
        self.is_ready = self._heard.endswith(b"READY\n")
        return bool(data) and self.want is None

    def go(self) -> None:
        """Let it start the flow. What it hears of this only in part is no leave."""
        word = b"GO " + json.dumps(self.secrets).encode() + b"\n" if self.secrets else b"GO\n"
        self.wire.settimeout(END_SECONDS)
        with suppress(OSError):
            self.wire.sendall(word)
        self.wire.close()

    def has_ended(self) -> bool:
        """Whether the process is gone, as far as its handle tells."""
        if self.process is not None and self.process.poll() is not None:
            return True
        return self.handle is not None and bool(ready([self.handle], 0))

    def end(self) -> None:
        """See that the process is gone: one that was not let go ends by itself, if it can."""
        self.wire.close()
        if self.handle is not None and not ready([self.handle], END_SECONDS):
            with suppress(OSError):
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            ready([self.handle], END_SECONDS)
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):  # the kernel keeps it, in the middle of a write perhaps
                self.process.wait(END_SECONDS)

    def release(self) -> None:
        """Let go of it without a word: without GO it ends and nothing runs, else it goes on."""
        self.wire.close()
        if self.process is not None:
            self.process.poll()
            # The flow outlives us on purpose; Python would warn about an unreaped child.
            self.process.returncode = self.process.returncode or 0
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """Where runs live, and what their flows get.

    `environment`: what every flow sees besides what its deployment declares. `grace`: from SIGTERM to SIGKILL.
    `variables`: where a secret's `env` is looked up. `group`: below which control groups are made. `user`: who flows
    run as, None for the controller's own. `server`: None has every run start cold. `temporary_bases`: below which
    directories an attempt may have its TMPDIR, the first that works. `open_files`: the soft limit of descriptors that
    flows get, None for the controller's own.
    """

    directory: Path
    environment: Mapping[str, str]
    grace: timedelta
    variables: Mapping[str, str] = field(default_factory=dict)
    group: Path | None = None
    user: FlowUser | None = None
    server: ForkServer | None = None
    open_files: int | None = None
    log_bytes: int = LOG_BYTES
    temporary_bases: Sequence[str] = ("/tmp",)

    def attempt_directory(self, run_id: str, number: int, nonce: str) -> Path:
        """Where the files of one attempt are."""
        return self.directory / run_id / f"{number}-{nonce}"

    def state_identity(self) -> str:
        """What tells this state directory from every copy of it: device and inode of the runs' directory."""
        found = self.directory.stat()
        return f"{found.st_dev:x}-{found.st_ino:x}"

    def attempt_id(self, nonce: str) -> str:
        """The name of one attempt that no attempt of another state directory has, a copied one included."""
        return f"{nonce}-{self.state_identity()}"

    def clean_up(self, nonce: str) -> int:
        """Kill what an attempt left behind whose supervisor is gone, and nothing of anybody else's; how many."""
        try:
            attempt_id = self.attempt_id(nonce)
        except OSError:
            return 0  # without the directory nothing says what is ours
        killed = sweep(attempt_id)
        cgroups.remove(self.group, attempt_id)
        return killed

    def launch(self, run: Run, deployment: Deployment, root: Path, *, nonce: str, pycache: Path | None) -> Launch:
        """Write the attempt's directory and start its supervisor; nothing is left of what fails. Raises OSError."""
        directory = self.attempt_directory(run.id, run.attempt, nonce)
        try:
            return self._launch(run, deployment, root, nonce, pycache, directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def _launch(
        self, run: Run, deployment: Deployment, root: Path, nonce: str, pycache: Path | None, directory: Path
    ) -> Launch:
        directory.parent.mkdir(exist_ok=True, mode=0o700)
        directory.mkdir(mode=0o700)
        if self.user is not None:
            let_pass(self.user, directory.parent, directory)
            if pycache is not None:
                let_pass(self.user, pycache.parents[1], pycache.parent)
                own_directory(self.user, pycache)
        spec = self._spec(run, deployment, root, nonce, pycache)
        if isinstance(deployment.target, CommandTarget):
            file = write_parameters(run.parameters, directory, self.user)
            spec["env"] |= {"CONTROLLER_PARAMETERS_FILE": str(file), "CONTROLLER_PARAMETERS_FD": str(PARAMETERS_FD)}
            spec["has_parameters_file"] = True
        with open(directory / "run.json", "xb", opener=_private) as stream:
            stream.write(json.dumps(spec).encode())
        crashpoints.reach("prepared")
        secrets = {
            name: None if (value := self.variables.get(secret.env)) is None else as_text(value)
            for name, secret in deployment.secrets.items()
            if isinstance(secret, EnvSecret)
        }
        return self.start(directory, secrets)

    def open(self) -> None:
        """Have the fork server get ready."""
        if self.server is not None:
            self.server.start()

    def close(self) -> None:
        """Start nothing more. What was started goes on."""
        if self.server is not None:
            self.server.stop()

    def start(self, directory: Path, secrets: Mapping[str, str | None]) -> Launch:
        """Start the supervisor of a directory that holds its `run.json`. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            launch = Launch(wire=ours, directory=directory, secrets=secrets)
            try:
                if self.server is None or not self.server.ask(directory, theirs):
                    launch.process = _start_cold(directory, theirs)
                    launch.handle = os.pidfd_open(launch.process.pid)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        return launch

    def _spec(self, run: Run, deployment: Deployment, root: Path, nonce: str, pycache: Path | None) -> dict[str, Any]:
        target = deployment.target
        call: dict[str, Any] = {"parameters": run.parameters}
        argv = [as_text(sys.executable), "-P", as_text(flow_main.__file__)]
        if isinstance(target, CommandTarget):
            argv = list(target.argv)
        else:
            place = {"root": as_text(root), "path": target.path, "name": target.name}
            call |= {**place, "pycache": None if has_own_bytecode(deployment) else pycache and as_text(pycache)}
        limits = deployment.resources
        return {
            "nonce": nonce,
            "state": self.state_identity(),
            "argv": argv,
            "call": call,
            "cwd": os.path.join(as_text(root), deployment.working_directory),  # noqa: PTH118
            "working_directory": deployment.working_directory,
            "export": pycache and as_text(root.parent),
            "env": {**self._declared(deployment), **_facts(run), "CONTROLLER_ATTEMPT_ID": self.attempt_id(nonce)},
            "tmp": None if has_own_temporary(deployment) else [as_text(base) for base in self.temporary_bases],
            "secrets": {
                name: {"env": secret.env} if isinstance(secret, EnvSecret) else {"file": secret.file}
                for name, secret in deployment.secrets.items()
            },
            "timeout": None if deployment.timeout is None else deployment.timeout.total_seconds(),
            "grace": self.grace.total_seconds(),
            "log_bytes": self.log_bytes,
            "resources": {
                "memory": limits.memory,
                "cpu_seconds": limits.cpu_seconds,
                "processes": limits.processes,
            },
            "cgroup": self.group and as_text(self.group),
            "cgroup_name": cgroups.name_of(self.attempt_id(nonce)),
            "open_files": self.open_files,
            "user": self.user and {"uid": self.user.uid, "gid": self.user.gid, "groups": self.user.groups},
            "crashpoint": crashpoints.of_supervisor(),
        }

    def _declared(self, deployment: Deployment) -> dict[str, str]:
        base = {name: as_text(value) for name, value in self.environment.items()}
        return declared_environment(base, deployment)


def _facts(run: Run) -> dict[str, str]:
    """What a flow is told of its run; the supervisor adds `TMPDIR`."""
    scheduled_for = "" if run.scheduled_for is None else run.scheduled_for.isoformat().replace("+00:00", "Z")
    return {
        "CONTROLLER_RUN_ID": run.id,
        "CONTROLLER_DEPLOYMENT": run.deployment,
        "CONTROLLER_ATTEMPT": str(run.attempt),
        "CONTROLLER_SCHEDULED_FOR": scheduled_for,
        "CONTROLLER_REVISION": run.revision,
    }


def write_parameters(parameters: Mapping[str, Any], directory: Path, user: FlowUser | None) -> Path:
    """Where a command finds its parameters: a file that only its user can read. Raises OSError."""
    file = directory / PARAMETERS_FILE
    with open(file, "xb", opener=_private) as stream:
        stream.write(json.dumps(dict(parameters)).encode())
        if user is not None:
            os.fchown(stream.fileno(), user.uid, user.gid)
    return file


def sweep(attempt_id: str) -> int:
    """Kill every process with this attempt's id in its environment; how many.

    The run's id would not do: a copy of the state directory knows it too, and the copied run may be alive.
    """
    killed = 0
    cookie = f"CONTROLLER_ATTEMPT_ID={attempt_id}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if cookie in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    killed += 1
    return killed


def _start_cold(directory: Path, wire: socket.socket) -> subprocess.Popen[bytes]:
    """A supervisor in an interpreter of its own."""
    with open(directory / "supervisor.log", "wb", opener=_private) as errors:
        return subprocess.Popen(
            [sys.executable, *cold_start.SUPERVISOR, str(PACKAGE), str(directory)],
            stdin=wire.fileno(),
            stdout=wire.fileno(),
            stderr=errors,
            env={},
            cwd="/",
            start_new_session=True,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
