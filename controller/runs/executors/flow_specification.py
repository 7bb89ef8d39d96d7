"""Describes a flow to its supervisor, wherever it runs: its variables, its limits, and how it is called.

Executors add what only they know, such as the interpreter and the directories of the machine.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.model.deployments import CommandTarget, Deployment
from controller.model.runs import Run, UpstreamRun
from controller.runs.flow_environment import declared_environment, has_own_bytecode, import_variables
from controller.sources.source import as_text

LOG_BYTES = 64 << 20


def specification(
    run: Run,
    deployment: Deployment,
    root: Path,
    *,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    grace: timedelta,
    log_bytes: int = LOG_BYTES,
) -> dict[str, Any]:
    """Return the part of `run.json` that does not depend on the machine, for code at `root`.

    `environment` are the variables of every flow, and `variables` further ones of this run.
    """
    target = deployment.target
    limits = deployment.resources
    return {
        "skip_exit_code": target.skip_exit_code if isinstance(target, CommandTarget) else None,
        "cwd": os.path.join(as_text(root), deployment.working_directory),  # noqa: PTH118
        "working_directory": deployment.working_directory,
        "env": {
            **variables,
            **declared_environment({name: as_text(value) for name, value in environment.items()}, deployment),
            **import_variables(deployment, root),
            **_run_variables(run),
        },
        "timeout": None if deployment.timeout is None else deployment.timeout.total_seconds(),
        "grace": grace.total_seconds(),
        "log_bytes": log_bytes,
        "resources": {
            "memory": limits.memory,
            "cpu_seconds": limits.cpu_seconds,
            "processes": limits.processes,
        },
    }


def flow_call(deployment: Deployment, root: Path, pycache: Path | None) -> dict[str, Any] | None:
    """Return the call of a Python flow (see `flow_main`) without its parameters; None for a command."""
    target = deployment.target
    if isinstance(target, CommandTarget):
        return None
    return {
        "root": as_text(root),
        "path": target.path,
        "module": target.module,
        "name": target.name,
        "import_paths": deployment.import_paths,
        "pycache": None if has_own_bytecode(deployment) else pycache and as_text(pycache),
    }


def upstream_by_deployment(upstream: tuple[UpstreamRun, ...]) -> dict[str, Any]:
    """Return the upstream runs as the flow reads them: a JSON object by deployment."""
    return {
        run.deployment: {
            "run_id": run.run_id,
            "due_time": run.due_time and run.due_time.isoformat().replace("+00:00", "Z"),
            "state": run.state.value,
            "result": run.result,
        }
        for run in upstream
    }


def _run_variables(run: Run) -> dict[str, str]:
    """Return the variables that describe the run to the flow; the supervisor adds `TMPDIR`."""
    scheduled_for = "" if run.scheduled_for is None else run.scheduled_for.isoformat().replace("+00:00", "Z")
    return {
        "CONTROLLER_RUN_ID": run.id,
        "CONTROLLER_DEPLOYMENT": run.deployment,
        "CONTROLLER_ATTEMPT": str(run.attempt),
        "CONTROLLER_SCHEDULED_FOR": scheduled_for,
        "CONTROLLER_REVISION": run.revision,
    }
