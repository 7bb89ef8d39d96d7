"""Makes the lock of a request: every package with its version and hashes, for one interpreter. Used by `builder`.

A file in which everything is pinned with hashes is the lock, as are `uv.lock` and `pylock.toml`. Everything else is
resolved by uv, as of the time of the commit if the index knows when its files were uploaded.
"""

import posixpath
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from controller.model.python_environments import PythonRequest, RequirementsSource
from controller.python_environments import pylock
from controller.python_environments.build_log import BuildLog
from controller.python_environments.failures import PythonBuildError, classify
from controller.python_environments.interpreters import Interpreter
from controller.python_environments.requirement_lines import check_lock, clean_files, join_files, read_lock
from controller.python_environments.uv import Output, Uv

_NO_UPLOAD_TIMES = ("is missing an upload date", "filtered by `exclude-newer`")
_REQUIREMENTS, _CONSTRAINTS = "requirements.txt", "constraints.txt"
_PLAIN = ("--no-header", "--no-annotate")


class Locks:
    """Makes locks. `directory` is for its temporary files. Source builds execute code of packages."""

    def __init__(self, uv: Uv, directory: Path, *, allows_source_builds: bool) -> None:
        self._uv = uv
        self._directory = directory
        self._allows_source_builds = allows_source_builds

    def read(self, request: PythonRequest, interpreter: Interpreter) -> str | None:
        """Return the lock, one line per package, if a file of the request is one that needs no uv, else None.

        Raises PythonBuildError.
        """
        if request.source is not RequirementsSource.PROJECT:
            return read_lock(clean_files(request.files), request.entry)
        text = _find(request, "pylock.toml")
        if text is None or _find(request, "uv.lock") is not None:
            return None
        projects = [text for path, text in request.files.items() if posixpath.basename(path) == "pyproject.toml"]
        groups, extras = request.groups, request.extras
        lock = pylock.convert(text, interpreter.markers, groups=groups, extras=extras, projects=projects)
        return check_lock("pylock.toml", lock)

    def resolve(
        self, request: PythonRequest, interpreter: Interpreter, committed_at: datetime | None, log: BuildLog
    ) -> str:
        """Return the lock that uv exports or resolves. Raises PythonBuildError, StoppingError, OSError."""
        if request.source is RequirementsSource.PROJECT:
            return self._export(request, interpreter, log)
        return self._compile(*join_files(clean_files(request.files), request.entry), interpreter, committed_at, log)

    def _export(self, request: PythonRequest, interpreter: Interpreter, log: BuildLog) -> str:
        if _find(request, "uv.lock") is None:
            raise PythonBuildError("ResolveFailed", f"{request.entry} has neither uv.lock nor pylock.toml.")
        self._write(request.files)
        project = f"--project=./{posixpath.dirname(request.entry)}"
        arguments = ["export", "--frozen", project, "--python", interpreter.executable]
        arguments += ["--no-emit-workspace", "--no-default-groups", "--format", "requirements-txt", *_PLAIN]
        groups = [f"--group={group}" for group in request.groups]
        extras = [f"--extra={extra}" for extra in request.extras]
        return _lock("uv.lock", self._run([*arguments, *groups, *extras], log))

    def _compile(
        self,
        requirements: str,
        constraints: str,
        interpreter: Interpreter,
        committed_at: datetime | None,
        log: BuildLog,
    ) -> str:
        """Have uv resolve the requirements. uv takes the kind of a file from its name, so both get plain names."""
        self._write({_REQUIREMENTS: requirements, _CONSTRAINTS: constraints})
        arguments = ["pip", "compile", _REQUIREMENTS, "--constraint", _CONSTRAINTS, "--generate-hashes"]
        arguments += ["--python", interpreter.executable, *_PLAIN]
        if not self._allows_source_builds:
            arguments += ["--only-binary", ":all:"]
        if committed_at is not None and "UV_EXCLUDE_NEWER" not in self._uv.variables:
            output = self._run([*arguments, "--exclude-newer", committed_at.isoformat()], log)
            if output.status == 0 or not any(text in output.messages for text in _NO_UPLOAD_TIMES):
                return _lock("the lock", output)
            log.add("The index does not know when files were uploaded, or the version is newer than the commit.")
        return _lock("the lock", self._run(arguments, log))

    def _run(self, arguments: Sequence[str], log: BuildLog) -> Output:
        return log.add_command(arguments, self._uv.run(arguments, self._directory))

    def _write(self, files: Mapping[str, str]) -> None:
        """Write the files of the request below the temporary directory."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)
        for path, text in files.items():
            target = posixpath.normpath(path)
            if target.startswith(("/", "..")):
                raise PythonBuildError("ResolveFailed", f"{path} is not a path below the root of the repository.")
            file = self._directory / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def _lock(name: str, output: Output) -> str:
    """Return the lock that uv printed. Raises PythonBuildError if it failed."""
    if output.status != 0:
        raise classify(output.messages, "ResolveFailed")
    return check_lock(name, output.result)


def _find(request: PythonRequest, name: str) -> str | None:
    """Return the text of the file with this name: that of a member of a workspace is in a folder above."""
    return next((text for path, text in request.files.items() if posixpath.basename(path) == name), None)
