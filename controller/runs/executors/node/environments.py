"""Builds the Python environment of an order in the node's cache: with uv if the node has it, else with venv and pip.

Packages are installed from wheels only, since building one executes its code. `.ready` is written last; without it a
folder is a leftover of an interrupted build.
"""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Any

from controller.runs.executors.node.cache import PYTHON, Cache

BUILD_SECONDS = 600.0
_READY = ".ready"
_LOCK = "requirements.lock"
_MAX_MESSAGES = 2000


class BuildError(Exception):
    """The environment can't be built on this node. The text says why, with the last lines of the installer."""


def find_or_build(cache: Cache, python: dict[str, Any], variables: dict[str, str]) -> str:
    """Return the interpreter of the environment that the order describes. Raises BuildError, OSError.

    `variables` are those of the installer.
    """
    variables = {"UV_CACHE_DIR": f"{cache.directory}/uv", **variables, "UV_NO_PROGRESS": "1"}
    variables |= {"UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}

    def build(folder: str) -> None:
        Build(folder, python, variables).run()

    return _interpreter(cache.find_or_make(PYTHON, python["digest"], _is_ready, build))


class Build:
    """One build, in its final place, since the scripts of an environment hold absolute paths."""

    def __init__(self, folder: str, python: dict[str, Any], variables: dict[str, str]) -> None:
        self._folder = folder
        self._python = python
        self._variables = variables
        self._uv = shutil.which("uv", path=variables.get("PATH"))

    def run(self) -> None:
        """Build it. Raises BuildError, OSError."""
        version = self._python.get("version")
        self._create(version)
        lock = self._python.get("lock")
        requirements = lock if lock is not None else self._python["requirements"]
        with open(f"{self._folder}/{_LOCK}", "w", encoding="utf-8") as stream:
            stream.write(requirements)
        if requirements.strip():
            self._install(is_locked=lock is not None)
        self._compile()
        _protect(self._folder)
        os.sync()
        with open(f"{self._folder}/{_READY}", "w", encoding="utf-8") as stream:
            stream.write(os.path.realpath(_interpreter(self._folder)))

    def _create(self, version: "str | None") -> None:
        own = "{}.{}".format(*sys.version_info)
        is_own = version is None or version == own or version.startswith(f"{own}.")
        if self._uv:
            python = sys.executable if is_own else str(version)
            self._call([self._uv, "venv", "--no-project", "--python", python, self._folder])
            return
        name = sys.executable if is_own else f"python{'.'.join(str(version).split('.')[:2])}"
        found = shutil.which(name, path=self._variables.get("PATH"))
        if found is None:
            raise BuildError(f"Python {version} is not installed on the node.")
        self._call([found, "-m", "venv", self._folder])

    def _install(self, *, is_locked: bool) -> None:
        wheels = [] if self._python.get("allows_source_builds") else ["--only-binary", ":all:"]
        hashes = ["--require-hashes"] if is_locked else []
        python, file = _interpreter(self._folder), f"{self._folder}/{_LOCK}"
        if self._uv:
            self._call([self._uv, "pip", "install", "--python", python, *hashes, *wheels, "-r", file])
        else:
            self._call([python, "-I", "-m", "pip", "install", "-q", *hashes, *wheels, "-r", file])

    def _compile(self) -> None:
        """Compile the modules to bytecode, except for those that have errors. -S: no code of packages is executed."""
        folders = glob.glob(f"{self._folder}/lib/python*/site-packages")
        with contextlib.suppress(BuildError):
            self._call([_interpreter(self._folder), "-I", "-S", "-m", "compileall", "-q", "-q", *folders])

    def _call(self, command: list[str]) -> None:
        """Run a command with its output in a file, and kill what it leaves behind. Raises BuildError."""
        with tempfile.TemporaryFile(dir=os.path.dirname(self._folder)) as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._variables,
                    cwd=os.path.dirname(self._folder),
                    start_new_session=True,
                )
                try:
                    status = process.wait(BUILD_SECONDS)
                finally:
                    _kill_group(process.pid)
            except subprocess.TimeoutExpired:
                raise BuildError(f"The build took longer than {BUILD_SECONDS:g} seconds.") from None
            if status != 0:
                output.seek(max(0, output.seek(0, os.SEEK_END) - _MAX_MESSAGES))
                raise BuildError(output.read().decode(errors="replace").strip() or f"exit code {status}")


def installer_variables(variables: dict[str, str]) -> dict[str, str]:
    """Return the variables of the job that its installer may see: not those of the engine and of this attempt."""
    hidden = ("CONTROLLER_", "RAY_", "PYTHON", "LD_", "VIRTUAL_ENV")
    return {name: value for name, value in variables.items() if not name.startswith(hidden)}


def _interpreter(folder: str) -> str:
    return f"{folder}/bin/python"


def _is_ready(folder: str) -> bool:
    """Return whether the environment is complete, and its interpreter is still the one that it was built with."""
    try:
        with open(f"{folder}/{_READY}", encoding="utf-8") as stream:
            return os.access(_interpreter(folder), os.X_OK) and stream.read() == os.path.realpath(_interpreter(folder))
    except OSError:
        return False


def _protect(folder: str) -> None:
    """Let nobody write the files, so that a flow does not change them for others."""
    for path, _, names in os.walk(folder):
        for name in names:
            file = f"{path}/{name}"
            if not os.path.islink(file):
                os.chmod(file, 0o555 if os.stat(file).st_mode & 0o100 else 0o444)
        if path != folder:
            os.chmod(path, 0o555)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
