"""A deployment here and now, in front of whoever asks: no controller, no record, no supervisor. `cli.execute` calls it.

The flow's process is the same as in a run, with the same environment and descriptors; its output is that of this one.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.model.deployments import CommandTarget, Deployment
from controller.model.policies import EnvSecret
from controller.runs.beside import flow_process, vault

# The flow finds its call on descriptor 3, and tells on 4.
_PLACE = (
    "import fcntl, os, sys\n"
    "call, events = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 64) for number in sys.argv[1:3])\n"
    "os.dup2(call, 3)\nos.dup2(events, 4)\n"
    "os.closerange(5, 256)\n"
    "os.execvp(sys.argv[3], sys.argv[3:])\n"
)


def execute(
    deployment: Deployment,
    root: Path,
    parameters: Mapping[str, Any],
    environment: Mapping[str, str],
    variables: Mapping[str, str],
) -> tuple[int, dict[str, Any]]:
    """Run it to its end; the exit code, and what it told: `result` or `error`. Raises OSError, SecretError.

    `variables`: where a secret's `env` is looked up.
    """
    target = deployment.target
    call: dict[str, Any] = {"parameters": {**deployment.parameters, **parameters}}
    argv = [sys.executable, "-P", flow_process.__file__]
    if isinstance(target, CommandTarget):
        argv = list(target.argv)
    else:
        call |= {"root": str(root), "path": target.path, "name": target.name, "pycache": None}
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        said.write(json.dumps(call).encode())
        said.seek(0)
        files = (said.fileno(), told.fileno())
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PLACE, *map(str, files), *argv],
            cwd=root / deployment.working_directory,
            env={**environment, **deployment.env, **_secrets(deployment, variables), **_about(deployment)},
            pass_fds=files,
            timeout=None if deployment.timeout is None else deployment.timeout.total_seconds(),
            check=False,
        )
        told.seek(0)
        return done.returncode, _own(told.read())


def _about(deployment: Deployment) -> dict[str, str]:
    return {"CONTROLLER_DEPLOYMENT": deployment.name, "CONTROLLER_ATTEMPT": "1", "CONTROLLER_SCHEDULED_FOR": ""}


def _secrets(deployment: Deployment, variables: Mapping[str, str]) -> dict[str, str]:
    given = {
        name: variables.get(secret.env) for name, secret in deployment.secrets.items() if isinstance(secret, EnvSecret)
    }
    wanted = {
        name: {"env": secret.env} if isinstance(secret, EnvSecret) else {"file": secret.file}
        for name, secret in deployment.secrets.items()
    }
    return vault.resolve(wanted, given)


def _own(told: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in told.split(b"\n"):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.keys() <= {"result", "error"}:
            found.update(event)
    return found
