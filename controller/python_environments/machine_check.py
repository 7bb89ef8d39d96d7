"""Checks what this machine has for Python environments: uv, and interpreters. Changes nothing and builds nothing.

`controller doctor` calls it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from controller.clock import Clock
from controller.model.python_environments import PythonRequest
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.interpreters import Interpreters
from controller.python_environments.uv import Uv
from controller.settings import UvSettings


def find_uv_version(settings: UvSettings, clock: Clock) -> str:
    """Return what `uv --version` prints. Raises PythonBuildError."""
    with TemporaryDirectory(prefix="controller-uv-") as directory:
        output = _uv(settings, clock, directory).run(["--version"], Path(directory))
    if output.status != 0:
        raise PythonBuildError("UvNotFound", f"uv --version failed with exit code {output.status}.")
    return output.result.strip()


def find_interpreter(request: PythonRequest, settings: UvSettings, clock: Clock) -> str:
    """Return the version and the path of the interpreter for this request. Raises PythonBuildError."""
    with TemporaryDirectory(prefix="controller-uv-") as directory:
        uv = _uv(settings, clock, directory)
        interpreters = Interpreters(uv, allowed=settings.allowed_interpreters, directory=Path(directory))
        interpreter = interpreters.find(request)
    return f"{interpreter.version} at {interpreter.executable}"


def _uv(settings: UvSettings, clock: Clock, directory: str) -> Uv:
    uv = Uv(settings.program, cache=Path(directory, "cache"), variables=settings.variables, clock=clock)
    uv.begin()
    return uv
