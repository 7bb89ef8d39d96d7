"""Finds the interpreter of a Python environment on this machine, and what it is. Used by `builder`.

Without a `version`, or with one that it fits, that is the interpreter that runs the controller. uv looks for others
among those that are installed; it never downloads one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from controller.model.python_environments import PythonRequest
from controller.python_environments import interpreter_probe
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.uv import Uv
from controller.records import dataclass

OLDEST = Version("3.10")
_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter. `stamps` are the modification times, in ns, of the files that change when it is upgraded.

    `is_used_as_it_is`: nothing is built, and flows use its `packages`.
    """

    executable: str
    implementation: str
    version: str
    platform: str
    markers: Mapping[str, str] = field(default_factory=dict)
    stamps: Mapping[str, int] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    is_used_as_it_is: bool = False

    @property
    def family(self) -> str:
        """The kind of interpreter that a lock is made for. A new patch release of Python keeps the lock."""
        return f"{self.implementation} {'.'.join(self.version.split('.')[:2])} {self.platform}"

    @property
    def is_current(self) -> bool:
        """Whether its files have not changed since."""
        return _are_current(self.stamps)

    def to_json(self) -> str:
        """Return what `is_current` needs, for the store."""
        return json.dumps({"family": self.family, "stamps": dict(self.stamps)})


def is_current(recorded: str | None) -> bool:
    """Return whether the files of the interpreter are still those that `Interpreter.to_json` recorded."""
    if recorded is None:
        return False
    return _are_current(json.loads(recorded)["stamps"])


def recorded_family(recorded: str | None) -> str | None:
    """Return the family in what `Interpreter.to_json` recorded."""
    return None if recorded is None else str(json.loads(recorded)["family"])


class Interpreters:
    """The interpreters of the machine. `allowed` are the globs of --allow-interpreter."""

    def __init__(self, uv: Uv, *, allowed: Sequence[str], directory: Path) -> None:
        self._uv = uv
        self._allowed = allowed
        self._directory = directory
        self._probed: dict[str, Interpreter] = {}

    def find(self, request: PythonRequest) -> Interpreter:
        """Return the interpreter for this request. Raises PythonBuildError, StoppingError."""
        if request.interpreter is not None:
            interpreter = _probe(self._check_allowed(request), ["packages"])
        else:
            interpreter = self._probe_once(self._search(request.version))
        if Version(interpreter.version) < OLDEST:
            raise PythonBuildError(
                "PythonTooOld",
                f"{interpreter.executable} is Python {interpreter.version}; flows need Python {OLDEST} or newer.",
            )
        return interpreter

    def is_allowed(self, request: PythonRequest) -> bool:
        """Return whether the operator allows the interpreter that the request names, if it names one."""
        path = request.interpreter
        return path is None or any(PurePosixPath(path).match(glob) for glob in self._allowed if glob.startswith("/"))

    def _check_allowed(self, request: PythonRequest) -> str:
        path = str(request.interpreter)
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise PythonBuildError("InterpreterNotAllowed", f"The interpreter {path} is not a plain absolute path.")
        if not self.is_allowed(request):
            raise PythonBuildError(
                "InterpreterNotAllowed",
                f"The interpreter {path} is not allowed.",
                hint=f"Start the controller with --allow-interpreter {path}, or with a glob that matches it.",
            )
        return path

    def _search(self, version: str | None) -> str:
        """Return the path of an interpreter with this version."""
        own = str(getattr(sys, "_base_executable", None) or sys.executable)
        if version is None or _fits(version):
            return own
        output = self._uv.run(["python", "find", "--no-project", "--system", version], self._directory)
        path = output.result.strip()
        if output.status != 0 or not path:
            raise PythonBuildError(
                "InterpreterNotFound",
                f"No Python {version} was found in the PATH of the controller.",
                hint="Install it, extend the PATH, or write `interpreter` with its path. Nothing is downloaded.",
            )
        return path

    def _probe_once(self, executable: str) -> Interpreter:
        """Return what an interpreter is; ask it only after its files have changed. Raises PythonBuildError."""
        interpreter = self._probed.get(executable)
        if interpreter is None or not interpreter.is_current:
            interpreter = self._probed[executable] = _probe(executable)
        return interpreter


def _probe(executable: str, arguments: Sequence[str] = ()) -> Interpreter:
    """Ask an interpreter what it is, and with the argument `packages` what is installed. Raises PythonBuildError.

    With -S it executes no `.pth` file of a package.
    """
    missing = PythonBuildError(
        "InterpreterNotFound",
        f"There is no working Python interpreter at {executable}.",
        hint="Install it, or change `interpreter`.",
    )
    command = [executable, "-I", "-S", interpreter_probe.__file__, *arguments]
    try:
        process = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=_SECONDS, check=True)
        answer = json.loads(process.stdout)
        Version(answer["version"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise missing from error
    folders = answer.pop("folders")
    files = [executable, os.path.realpath(executable), *(folders if arguments else ())]
    return Interpreter(
        executable=executable,
        stamps={path: _modified_at(path) for path in files},
        packages={str(canonicalize_name(name)): version for name, version in answer.pop("packages").items()},
        is_used_as_it_is=bool(arguments),
        **answer,
    )


def _fits(version: str) -> bool:
    """Return whether the interpreter that runs the controller has this version. Raises PythonBuildError."""
    try:
        specifier = SpecifierSet(f"=={Version(version)}.*" if version[:1].isdigit() else version)
    except (InvalidSpecifier, InvalidVersion) as error:
        raise PythonBuildError("InterpreterNotFound", f"{version!r} is not a version of Python.") from error
    return specifier.contains(f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}")


def _are_current(stamps: Mapping[str, int]) -> bool:
    return all(_modified_at(path) == at for path, at in stamps.items())


def _modified_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
