"""The directory of an attempt on a node: the input of its supervisor, and what is left of attempts that were killed."""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from typing import Any

from controller.runs.executors.local.supervisor import flow_main, process_tree, temporary_directory
from controller.runs.executors.local.supervisor.spawn import PARAMETERS_FD, PARAMETERS_FILE
from controller.runs.executors.node.code_packages import PYCACHE, TREE

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
_UPSTREAM_FILE = "upstream.json"
_HOLDER = "runner.lock"


class AttemptDirectory:
    """A new directory below `cache`, held by this process for its life.

    Its name is the value of `CONTROLLER_ATTEMPT_ID` in the processes of the flow. It is not derived from the ticket.
    """

    def __init__(self, cache: str) -> None:
        parent = f"{cache}/attempts"
        os.makedirs(parent, 0o700, exist_ok=True)
        self.id = os.urandom(16).hex()
        self.path = f"{parent}/{self.id}"
        with _locked(parent):
            os.mkdir(self.path, 0o700)
            self._lock = os.open(f"{self.path}/{_HOLDER}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def write(self, order: dict[str, Any], start: dict[str, Any], places: dict[str, Any]) -> None:
        """Write what the supervisor needs. Raises OSError.

        `order` and `start` are the answers to `fetch` and `start`. `places`: `code`, the folder of the code package or
        None; `python`, the interpreter of the environment or None; `sdk`, the folder of the SDK; `tmp`, where temporary
        directories are made; `variables`, those of this process.
        """
        code = places["code"]
        if code is not None:
            order = _replace(order, order["code"]["root"], f"{code}/{TREE}")
        spec = dict(order["spec"])
        env = _base_environment(places["variables"], spec) | spec["env"] | {"CONTROLLER_ATTEMPT_ID": self.id}
        python = places["python"] or sys.executable
        env["PATH"] = f"{os.path.dirname(python)}:{_SYSTEM_PATH}"
        if order["argv"] is not None:
            self._write_file(PARAMETERS_FILE, start["parameters"])
            spec["argv"], spec["call"] = order["argv"], {"parameters": start["parameters"]}
            env["CONTROLLER_PARAMETERS_FILE"] = f"{self.path}/{PARAMETERS_FILE}"
            env["CONTROLLER_PARAMETERS_FD"] = str(PARAMETERS_FD)
            spec["has_parameters_file"] = True
        else:
            has_own_bytecode = "PYTHONPYCACHEPREFIX" in {*spec["env"], *(spec.get("secrets") or {})}
            pycache = None if code is None or has_own_bytecode else f"{code}/{PYCACHE}"
            own = {"sdk": places["sdk"], "pycache": pycache, "parameters": start["parameters"]}
            spec["argv"], spec["call"] = _interpreter_command(python), {**order["call"], **own}
        if start.get("upstream") is not None:
            env["CONTROLLER_UPSTREAM"] = self._write_file(_UPSTREAM_FILE, start["upstream"])
        spec |= {"nonce": order["nonce"], "env": env, "export": code, "cgroup": None, "user": None}
        spec |= {"tmp": None if spec.get("tmp") is None else [places["tmp"]], "die_with_parent": True}
        spec["crashpoint"] = _crashpoint(places["variables"])
        self._write_file("run.json", spec)

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _write_file(self, name: str, content: Any) -> str:
        path = f"{self.path}/{name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        return path


def end_lost_attempts(cache: str) -> None:
    """Kill the processes that attempts of killed runners have left behind, and remove their directories."""
    parent = f"{cache}/attempts"
    with contextlib.suppress(OSError), _locked(parent):
        for name in os.listdir(parent):
            directory = f"{parent}/{name}"
            if os.path.isdir(directory) and not _is_held(directory):
                process_tree.sweep(name)
                temporary_directory.remove_left_behind(directory)
                shutil.rmtree(directory, ignore_errors=True)


def _interpreter_command(python: str) -> list[str]:
    """Return the command that calls a flow. Python 3.10 has no -P; `flow_main` does without it."""
    is_known_new = python == sys.executable and sys.version_info >= (3, 11)
    return [python, *(["-P"] if is_known_new else []), flow_main.__file__]


def _base_environment(variables: dict[str, str], spec: dict[str, Any]) -> dict[str, str]:
    """Return the variables of every flow: those of this node's user, and none of the engine."""
    declared = {*spec["env"], *(spec.get("secrets") or {})}
    has_locale = any(name.startswith(("LANG", "LC_")) for name in declared)
    home = os.path.expanduser("~")
    inherited = {name: variables[name] for name in _PASSED_ON if name in variables}
    if has_locale:
        inherited.pop("LC_ALL", None)
    return {"LANG": "C.UTF-8", "HOME": home if home.startswith("/") else "/", "PYTHONUNBUFFERED": "1", **inherited}


def _crashpoint(variables: dict[str, str]) -> "str | None":
    """Return the point at which a test has the supervisor die."""
    points = variables.get("CONTROLLER_CRASHPOINT", "").split(",")
    return next((point.partition(":")[2] for point in points if point.startswith("supervisor:")), None)


def _replace(value: Any, old: str, new: str) -> Any:
    """Return a JSON value with `old` replaced in every string."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_replace(item, old, new) for item in value]
    if isinstance(value, dict):
        return {key: _replace(item, old, new) for key, item in value.items()}
    return value


@contextlib.contextmanager
def _locked(parent: str) -> Any:
    """Hold the lock that orders the creation and the removal of directories."""
    descriptor = os.open(f"{parent}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_held(directory: str) -> bool:
    """Return whether the runner of an attempt lives."""
    try:
        descriptor = os.open(f"{directory}/{_HOLDER}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
