"""The order of a remote attempt: all that its runner needs to prepare, without parameters and secrets.

The controller keeps it in the directory of the attempt, together with what the answer to `start` needs, so that a later
controller can give both. Paths below the code start with a placeholder, which the runner replaces.
"""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.errors import UsageError
from controller.model.deployments import CommandTarget
from controller.model.policies import EnvSecret, Secret
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Attempt
from controller.runs.executors.attempt_files import open_regular
from controller.runs.executors.executor import Launchable
from controller.runs.executors.flow_specification import flow_call, specification, upstream_by_deployment
from controller.runs.flow_environment import has_own_temporary

FILE = "order.json"
LOCK = "requirements.lock"
"""The name of the lock in the directory of a Python environment."""
_LARGEST_FILE = 1 << 25
Order = dict[str, Any]
"""`order`: the answer to `fetch`. `start`: the answer to `start`, with places of secrets instead of their values."""


def make_order(
    launchable: Launchable,
    attempt: Attempt,
    *,
    code: str,
    runner: str,
    variables: Mapping[str, str],
    grace: timedelta,
    python: Mapping[str, Any] | None = None,
) -> Order:
    """Return the order of an attempt. `code` and `runner` are the digests of packages.

    `variables` are further ones of this run. `python`: how the node builds the Python environment, if it needs one.
    """
    run, deployment = launchable.run, launchable.deployment
    silence = deployment.on_silence
    root = Path(f"/controller-code-{attempt.nonce}")
    spec = specification(run, deployment, root, environment={}, variables=variables, grace=grace)
    spec["secrets"] = {name: _declared(secret) for name, secret in deployment.secrets.items()}
    spec |= {"open_files": None, "tmp": None if has_own_temporary(deployment) else []}
    needs_upstream = bool(run.upstream or deployment.after.upstreams)
    return {
        "order": {
            "nonce": attempt.nonce,
            "code": {"digest": code, "root": str(root)},
            "runner": runner,
            "python": python,
            "call": flow_call(deployment, root, None),
            "argv": list(deployment.target.argv) if isinstance(deployment.target, CommandTarget) else None,
            "spec": spec,
            "on_silence": None if silence is None else silence.total_seconds(),
        },
        "start": {
            "parameters": dict(run.parameters),
            "secrets": {name: _place(secret) for name, secret in deployment.secrets.items()},
            "upstream": upstream_by_deployment(run.upstream) if needs_upstream else None,
        },
    }


def read_python(runtime: PythonRuntime | None, *, allows_source_builds: bool = False) -> dict[str, Any] | None:
    """Return how a node builds the Python environment that was built here: from the same lock, so with the same files.

    `allows_source_builds`: a node may build packages that have no wheel.
    Raises OSError; UsageError: the deployment names an interpreter of this machine.
    """
    if runtime is None:
        return None
    directory = Path(runtime.executable).parents[1]
    if directory.name != runtime.digest:
        message = f"{runtime.executable} is an interpreter of the controller's machine; a node may not have it."
        raise UsageError(message, hint="Declare the packages with `python: {requirements: ...}`.")
    lock = (directory / LOCK).read_text(encoding="utf-8")
    version = None if runtime.version is None else ".".join(runtime.version.split(".")[:2])
    return {
        "digest": runtime.digest,
        "requirements": lock,
        "lock": lock,
        "version": version,
        "allows_source_builds": allows_source_builds,
    }


def write_order(directory: Path, order: Order) -> None:
    """Write the order to the directory of its attempt. Raises OSError."""
    descriptor = os.open(directory / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(json.dumps(order).encode())


def read_order(directory: Path) -> Order | None:
    """Read the order from the directory of its attempt; None if it is missing or incomplete."""
    try:
        with os.fdopen(open_regular(directory / FILE), "rb") as stream:
            order = json.loads(stream.read(_LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    return order if isinstance(order, dict) and order.keys() == {"order", "start"} else None


def _declared(secret: Secret) -> dict[str, str]:
    """Return a secret as the supervisor on the node reads it: its value comes with GO."""
    if isinstance(secret, EnvSecret):
        return {"env": secret.env}
    return {"env": secret.file, "missing": f"the file {secret.file} can't be read on the controller's machine"}


def _place(secret: Secret) -> dict[str, str]:
    return {"env": secret.env} if isinstance(secret, EnvSecret) else {"file": secret.file}
