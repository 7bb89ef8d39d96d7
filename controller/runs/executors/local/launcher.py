"""Starts the supervisor of one attempt and sends it GO. Called by the monitor, on the engine's thread.

Before the supervisor starts, everything that it needs is written to the run's directory, except secrets, which are
never written to disk. A fork server forks the supervisor if possible; otherwise it is started cold. The protocol is the
same in both cases.

The supervisor of a flow in a Python environment is forked from the fork server of that environment, so that it can fork
the flow. With a user for flows it never is: code of the environment must not run as the user of the controller.
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller import crashpoints
from controller.errors import shortage
from controller.model.deployments import CommandTarget, Deployment
from controller.model.policies import EnvSecret
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Attempt, Run
from controller.runs.executors.attempt_files import attempt_directory
from controller.runs.executors.flow_specification import LOG_BYTES, flow_call, specification
from controller.runs.executors.local import cgroup_parent
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.interpreter import PACKAGE, install_sdk, interpreter_command, search_path
from controller.runs.executors.local.python_servers import PythonServers
from controller.runs.executors.local.run_files import private, write_parameters, write_upstream
from controller.runs.executors.local.supervisor import cold_start, flow_main, process_tree
from controller.runs.executors.local.supervisor.poll import ready
from controller.runs.executors.local.supervisor.spawn import PARAMETERS_FD
from controller.runs.executors.local.users import FlowUser, create_private_directory, grant_traversal
from controller.runs.flow_environment import has_own_temporary
from controller.sources.source import as_text

END_SECONDS = 2.0
_FAILED = re.compile(rb"FAILED ([0-9]{1,4})\n")


@dataclass(slots=True, kw_only=True)
class Launch:
    """A supervisor that this process has started. On the socket `wire` it sends READY and receives GO.

    A supervisor from the fork server has no `process`; it sends `handle`, a pidfd of itself. `want` names the resource
    that was exhausted if the supervisor could not start, or can't be waited for.
    """

    wire: socket.socket
    directory: Path
    secrets: Mapping[str, str | None]
    process: subprocess.Popen[bytes] | None = None
    handle: int | None = None
    is_ready: bool = False
    want: str | None = None
    _received: bytes = field(default=b"", init=False)

    def receive(self) -> bool:
        """Read the supervisor's messages; return False once it has ended without READY."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(self.wire, 64, 1)
        except BlockingIOError:
            return True
        except OSError as error:
            self.want = shortage(error)
            return False
        self._received += data
        for descriptor in descriptors:
            self.handle = descriptor
        if flags & socket.MSG_CTRUNC:
            self.want = shortage(OSError(errno.EMFILE, ""))  # it sent its handle, but no descriptor was free
        if (failed := _FAILED.search(self._received)) is not None:
            self.want = shortage(OSError(int(failed[1]), "")) or self.want
        self.is_ready = self._received.endswith(b"READY\n")
        return bool(data) and self.want is None

    def send_go(self) -> None:
        """Send GO, so that the supervisor starts the flow. A partially delivered GO does not start the flow."""
        message = b"GO " + json.dumps(self.secrets).encode() + b"\n" if self.secrets else b"GO\n"
        self.wire.settimeout(END_SECONDS)
        with suppress(OSError):
            self.wire.sendall(message)
        self.wire.close()

    def has_ended(self) -> bool:
        """Return whether the process has ended, as far as its handle shows."""
        if self.process is not None and self.process.poll() is not None:
            return True
        return self.handle is not None and bool(ready([self.handle], 0))

    def terminate(self) -> None:
        """Make sure that the process has ended. A supervisor without GO exits by itself, unless it hangs."""
        self.wire.close()
        if self.handle is not None and not ready([self.handle], END_SECONDS):
            with suppress(OSError):
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            ready([self.handle], END_SECONDS)
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):  # the kernel may hold it, for example in a write
                self.process.wait(END_SECONDS)

    def detach(self) -> None:
        """Close the connection: without GO the supervisor exits and nothing runs; after GO it keeps running."""
        self.wire.close()
        if self.process is not None:
            self.process.poll()
            # The flow outlives us on purpose; without a return code, Python would warn about an unreaped child.
            self.process.returncode = self.process.returncode or 0
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """Starts supervisors below `directory`, with the settings that are common to all runs.

    `environment`: the variables of every flow, in addition to those of its deployment. `grace`: the time between
    SIGTERM and SIGKILL. `variables`: where the `env` of a secret is looked up. `group`: the parent of the control
    groups. `user`: the user that flows run as, None for the controller's own. `server`: the fork server, and
    `python_servers` those of Python environments; None starts every run cold. `temporary_bases`: the possible parents
    of an attempt's TMPDIR; the first that works is used. `open_files`: the soft limit of open files of flows, None for
    the controller's own. `place`: the host and the directory, if controllers on several hosts share the state.
    """

    directory: Path
    environment: Mapping[str, str]
    grace: timedelta
    variables: Mapping[str, str] = field(default_factory=dict)
    group: Path | None = None
    user: FlowUser | None = None
    server: ForkServer | None = None
    python_servers: PythonServers | None = None
    open_files: int | None = None
    log_bytes: int = LOG_BYTES
    temporary_bases: Sequence[str] = ("/tmp",)
    run_variables: Callable[[Run], Mapping[str, str]] = lambda run: {}  # noqa: ARG005
    place: str | None = None

    def find_directory(self, attempt: Attempt) -> Path | None:
        """Return the directory of an attempt, also in another state directory of this host; None for another host."""
        if self.place is None or attempt.place in (None, self.place):
            return attempt_directory(self.directory, attempt)
        host, _, directory = attempt.place.partition(":")
        if host != self.place.partition(":")[0] or not Path(directory).is_dir():
            return None
        return attempt_directory(Path(directory), attempt)

    def state_identity(self) -> str:
        """Return device and inode of the runs' directory, which distinguish this state directory from its copies."""
        status = self.directory.stat()
        return f"{status.st_dev:x}-{status.st_ino:x}"

    def attempt_id(self, nonce: str) -> str:
        """Return an id of the attempt that is unique across state directories, including copies of this one."""
        return f"{nonce}-{self.state_identity()}"

    def clean_up(self, nonce: str) -> int:
        """Kill the processes that an attempt without a supervisor left behind, and no others. Return their number."""
        try:
            attempt_id = self.attempt_id(nonce)
        except OSError:
            return 0  # without the directory, we can't identify our own processes
        killed = process_tree.sweep(attempt_id)
        cgroup_parent.remove(self.group, attempt_id)
        return killed

    def launch(
        self,
        run: Run,
        deployment: Deployment,
        root: Path,
        *,
        nonce: str,
        pycache: Path | None,
        python: PythonRuntime | None = None,
    ) -> Launch:
        """Write the attempt's directory and start its supervisor. On failure, remove the directory. Raises OSError.

        `python` is the interpreter of the flow, None for the controller's own.
        """
        directory = self.directory / run.id / f"{run.attempt}-{nonce}"
        try:
            return self._launch(run, deployment, root, nonce, pycache, directory, python)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def _launch(
        self,
        run: Run,
        deployment: Deployment,
        root: Path,
        nonce: str,
        pycache: Path | None,
        directory: Path,
        python: PythonRuntime | None,
    ) -> Launch:
        directory.parent.mkdir(exist_ok=True, mode=0o700)
        directory.mkdir(mode=0o700)
        if self.user is not None:
            grant_traversal(self.user, directory.parent, directory)
            if pycache is not None:
                grant_traversal(self.user, pycache.parents[1], pycache.parent)
                create_private_directory(self.user, pycache)
        sdk = None if python is None else install_sdk(self.directory.parent / "sdk", self.user)
        spec = self._spec(run, deployment, root, nonce, pycache)
        spec["argv"], spec["call"] = command_line(deployment, run.parameters, root, pycache, python, sdk)
        if python is not None:
            spec["env"]["PATH"] = search_path(python, spec["env"].get("PATH", ""))
        if isinstance(deployment.target, CommandTarget):
            file = write_parameters(run.parameters, directory, self.user)
            spec["env"] |= {"CONTROLLER_PARAMETERS_FILE": str(file), "CONTROLLER_PARAMETERS_FD": str(PARAMETERS_FD)}
            spec["has_parameters_file"] = True
        if run.upstream or deployment.after.upstreams:
            spec["env"]["CONTROLLER_UPSTREAM"] = str(write_upstream(run.upstream, directory, self.user))
        with open(directory / "run.json", "xb", opener=private) as stream:
            stream.write(json.dumps(spec).encode())
        crashpoints.reach("prepared")
        secrets = {
            name: None if (value := self.variables.get(secret.env)) is None else as_text(value)
            for name, secret in deployment.secrets.items()
            if isinstance(secret, EnvSecret)
        }
        return self.start(directory, secrets, python, sdk)

    def open(self) -> None:
        """Start the fork server, if there is one."""
        if self.server is not None:
            self.server.start()

    def close(self) -> None:
        """Stop the fork servers. Supervisors keep running."""
        if self.server is not None:
            self.server.stop()
        if self.python_servers is not None:
            self.python_servers.stop()

    def stop_idle_servers(self) -> None:
        """Stop the fork servers of Python environments that are no longer in use."""
        if self.python_servers is not None:
            self.python_servers.stop_idle()

    def start(
        self,
        directory: Path,
        secrets: Mapping[str, str | None],
        python: PythonRuntime | None = None,
        sdk: Path | None = None,
    ) -> Launch:
        """Start the supervisor of a directory that holds its `run.json`. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            launch = Launch(wire=ours, directory=directory, secrets=secrets)
            try:
                if not self._request_fork(directory, theirs, python, sdk):
                    launch.process = _start_cold(directory, theirs)
                    launch.handle = os.pidfd_open(launch.process.pid)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        return launch

    def _request_fork(
        self, directory: Path, theirs: socket.socket, python: PythonRuntime | None, sdk: Path | None
    ) -> bool:
        """Request the supervisor from a fork server; return False if no server can fork it now."""
        servers = self.python_servers if self.user is None else None
        if servers and python and sdk and servers.request_fork(python, sdk, directory, theirs):
            return True
        return self.server is not None and self.server.request_fork(directory, theirs)

    def _spec(self, run: Run, deployment: Deployment, root: Path, nonce: str, pycache: Path | None) -> dict[str, Any]:
        spec = specification(
            run,
            deployment,
            root,
            environment=self.environment,
            variables=self.run_variables(run),
            grace=self.grace,
            log_bytes=self.log_bytes,
        )
        spec["env"]["CONTROLLER_ATTEMPT_ID"] = self.attempt_id(nonce)
        return spec | {
            "nonce": nonce,
            "state": self.state_identity(),
            "export": pycache and as_text(root.parent),
            "tmp": None if has_own_temporary(deployment) else [as_text(base) for base in self.temporary_bases],
            "secrets": {
                name: {"env": secret.env} if isinstance(secret, EnvSecret) else {"file": secret.file}
                for name, secret in deployment.secrets.items()
            },
            "cgroup": self.group and as_text(self.group),
            "cgroup_name": cgroup_parent.group_name(self.attempt_id(nonce)),
            "open_files": self.open_files,
            "user": self.user and {"uid": self.user.uid, "gid": self.user.gid, "groups": self.user.groups},
            "crashpoint": crashpoints.of_supervisor(),
        }


def command_line(
    deployment: Deployment,
    parameters: Mapping[str, Any],
    root: Path,
    pycache: Path | None,
    python: PythonRuntime | None,
    sdk: Path | None,
) -> tuple[list[str], dict[str, Any]]:
    """Return the command line of a flow, and its call (see `flow_main`): what it reads from descriptor 3."""
    call = flow_call(deployment, root, pycache)
    if call is None:
        assert isinstance(deployment.target, CommandTarget)
        return list(deployment.target.argv), {"parameters": dict(parameters)}
    call |= {"parameters": dict(parameters), "sdk": sdk and as_text(sdk)}
    return [*interpreter_command(python), as_text(flow_main.__file__)], call


def _start_cold(directory: Path, wire: socket.socket) -> subprocess.Popen[bytes]:
    """Start a supervisor in a new interpreter."""
    with open(directory / "supervisor.log", "wb", opener=private) as errors:
        return subprocess.Popen(
            [sys.executable, *cold_start.SUPERVISOR, str(PACKAGE), str(directory)],
            stdin=wire.fileno(),
            stdout=wire.fileno(),
            stderr=errors,
            env={},
            cwd="/",
            start_new_session=True,
        )
