"""Writes the files of an attempt that its flow reads: the parameters of a command, and the upstream runs."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controller.model.runs import UpstreamRun
from controller.runs.executors.flow_specification import upstream_by_deployment
from controller.runs.executors.local.supervisor.spawn import PARAMETERS_FILE
from controller.runs.executors.local.users import FlowUser

_UPSTREAM_FILE = "upstream.json"


def write_parameters(parameters: Mapping[str, Any], directory: Path, user: FlowUser | None) -> Path:
    """Write the parameters of a command to a file that only its user can read. Raises OSError."""
    return _write(dict(parameters), directory / PARAMETERS_FILE, user)


def write_upstream(upstream: Iterable[UpstreamRun], directory: Path, user: FlowUser | None) -> Path:
    """Write the upstream runs to a file that only the flow's user can read: a JSON object by deployment.

    Raises OSError.
    """
    return _write(upstream_by_deployment(tuple(upstream)), directory / _UPSTREAM_FILE, user)


def private(path: str, flags: int) -> int:
    """Open a file that only its owner can access; an `opener` of `open`."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _write(value: Mapping[str, Any], file: Path, user: FlowUser | None) -> Path:
    with open(file, "xb", opener=private) as stream:
        stream.write(json.dumps(value).encode())
        if user is not None:
            os.fchown(stream.fileno(), user.uid, user.gid)
    return file
