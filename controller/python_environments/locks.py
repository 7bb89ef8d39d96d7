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
from controller.python_environments.requirement_lines import clean_files, logical_lines, read_lock
from controller.python_environments.uv import Output, Uv

_NO_UPLOAD_TIMES = ("is missing an upload date", "filtered by `exclude-newer`")
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
        return pylock.convert(text, interpreter.markers, groups=request.groups, extras=request.extras)

    def resolve(
        self, request: PythonRequest, interpreter: Interpreter, committed_at: datetime | None, log: BuildLog
    ) -> str:
        """Return the lock that uv exports or resolves. Raises PythonBuildError, StoppingError, OSError."""
        if request.source is not RequirementsSource.PROJECT:
            self._write(clean_files(request.files))
            return self._compile([request.entry], interpreter, committed_at, log)
        self._write(request.files)
        if _find(request, "uv.lock") is not None:
            return self._export(request, interpreter, log)
        project = posixpath.join(posixpath.dirname(request.entry), "pyproject.toml")
        groups = [f"--group={project}:{group}" for group in request.groups]
        arguments = [project, "--no-sources", *groups, *_extras(request)]
        return self._compile(arguments, interpreter, committed_at, log)

    def _export(self, request: PythonRequest, interpreter: Interpreter, log: BuildLog) -> str:
        folder = posixpath.dirname(request.entry) or "."
        arguments = ["export", "--frozen", "--project", folder, "--python", interpreter.executable]
        arguments += ["--no-emit-workspace", "--no-default-groups", "--format", "requirements-txt", *_PLAIN]
        groups = [f"--group={group}" for group in request.groups]
        exported = _lock(self._run([*arguments, *groups, *_extras(request)], log))
        lock = read_lock(clean_files({"uv.lock": exported}), "uv.lock")
        if lock is None:
            raise PythonBuildError("ResolveFailed", "uv.lock has packages without hashes: from git, or from folders.")
        return lock

    def _compile(
        self, source: Sequence[str], interpreter: Interpreter, committed_at: datetime | None, log: BuildLog
    ) -> str:
        arguments = ["pip", "compile", *source, "--generate-hashes", "--python", interpreter.executable, *_PLAIN]
        if not self._allows_source_builds:
            arguments += ["--only-binary", ":all:"]
        if committed_at is not None and "UV_EXCLUDE_NEWER" not in self._uv.variables:
            output = self._run([*arguments, "--exclude-newer", committed_at.isoformat()], log)
            if output.status == 0 or not any(text in output.messages for text in _NO_UPLOAD_TIMES):
                return _lock(output)
            log.add("The index does not know when files were uploaded, or the version is newer than the commit.")
        return _lock(self._run(arguments, log))

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


def _lock(output: Output) -> str:
    """Return the lock that uv printed. Raises PythonBuildError if it failed."""
    if output.status != 0:
        raise classify(output.messages, "ResolveFailed")
    return "".join(f"{line}\n" for line in logical_lines(output.result))


def _find(request: PythonRequest, name: str) -> str | None:
    """Return the text of the file with this name: that of a member of a workspace is in a folder above."""
    return next((text for path, text in request.files.items() if posixpath.basename(path) == name), None)


def _extras(request: PythonRequest) -> list[str]:
    return [f"--extra={extra}" for extra in request.extras]
