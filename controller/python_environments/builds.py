"""Builds a Python environment in its final place, since scripts in it hold absolute paths, and removes it again.

The file `.ready` is written last, once everything is on disk. Without it a directory is a leftover of a build that was
interrupted. Used by `builder`.
"""

import contextlib
import ctypes
import importlib.metadata
import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from controller.python_environments.build_log import BuildLog
from controller.python_environments.failures import classify
from controller.python_environments.interpreters import Interpreter
from controller.python_environments.uv import Uv
from controller.records import dataclass

READY = ".ready"
_LOCK = "requirements.lock"
_REMOVED = ".removed-"
_DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A finished build."""

    executable: str
    packages: Mapping[str, str]
    bytes: int


class Builds:
    """The environments on disk: one directory per digest below `directory`."""

    def __init__(self, uv: Uv, directory: Path, *, allows_source_builds: bool) -> None:
        self._uv = uv
        self._directory = directory
        self._allows_source_builds = allows_source_builds

    def find(self, digest: str) -> Build | None:
        """Return a finished build whose interpreter is still there, or None."""
        target = self._directory / digest
        try:
            build = Build(**json.loads((target / READY).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return build if os.access(build.executable, os.X_OK) else None

    def is_complete(self, digest: str) -> bool:
        """Return whether this environment was built to the end, and nobody has begun to delete it."""
        return (self._directory / digest / READY).is_file()

    def build(self, digest: str, lock: str, interpreter: Interpreter, log: BuildLog) -> Build:
        """Build the environment. Raises PythonBuildError, StoppingError, OSError; then nothing of it is left."""
        target = self._directory / digest
        self.remove(digest)
        try:
            return self._build(target, lock, interpreter, log)
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove(digest)
            raise

    def remove(self, digest: str) -> None:
        """Remove an environment. It is renamed first, so that no half of it is ever used. Raises OSError."""
        target = self._directory / digest
        aside = self._directory / f"{_REMOVED}{digest}"
        _delete(aside)
        with contextlib.suppress(FileNotFoundError):
            target.rename(aside)
        _delete(aside)

    def remove_leftovers(self) -> None:
        """Remove what interrupted builds and removals left behind. Raises OSError."""
        for path in list(self._directory.iterdir()):
            is_build = len(path.name) == _DIGEST_LENGTH and path.is_dir()
            if path.name.startswith(_REMOVED) or (is_build and not self.is_complete(path.name)):
                _delete(path)

    def remove_except(self, kept: Collection[str]) -> list[str]:
        """Remove all environments but these. Return the digests of those removed. Raises OSError."""
        self.remove_leftovers()
        names = [path.name for path in self._directory.iterdir() if len(path.name) == _DIGEST_LENGTH]
        removed = [name for name in names if name not in kept]
        for name in removed:
            self.remove(name)
        return removed

    def _build(self, target: Path, lock: str, interpreter: Interpreter, log: BuildLog) -> Build:
        self._run(["venv", "--no-project", "--python", interpreter.executable, str(target)], log)
        (target / _LOCK).write_text(lock, encoding="utf-8")
        executable = str(target / "bin" / "python")
        arguments = ["pip", "sync", "--python", executable, "--require-hashes"]
        if not self._allows_source_builds:
            arguments += ["--only-binary", ":all:"]
        self._run([*arguments, "--allow-empty-requirements", str(target / _LOCK)], log)
        self._compile(target, interpreter)
        build = Build(executable=executable, packages=_packages(target), bytes=_protect(target))
        _write_ready(target, json.dumps({"executable": executable, "packages": build.packages, "bytes": build.bytes}))
        return build

    def _compile(self, target: Path, interpreter: Interpreter) -> None:
        """Compile the modules to bytecode, except for those that have errors.

        uv would start the environment's own interpreter for it, which executes the `.pth` files of packages.
        """
        command = [interpreter.executable, "-I", "-S", "-m", "compileall", "-q", "-q", *_package_folders(target)]
        self._uv.run_program(command, {}, self._directory)

    def _run(self, arguments: list[str], log: BuildLog) -> None:
        output = log.add_command(arguments, self._uv.run(arguments, self._directory))
        if output.status != 0:
            raise classify(output.messages, "BuildFailed")


def _package_folders(target: Path) -> list[str]:
    return [str(path) for path in target.glob("lib/python*/site-packages")]


def _packages(target: Path) -> dict[str, str]:
    installed = importlib.metadata.distributions(path=_package_folders(target))
    return dict(sorted((str(canonicalize_name(one.name)), one.version) for one in installed))


def _protect(target: Path) -> int:
    """Let everyone read the files and nobody write them. Return the size of the files in bytes."""
    size = 0
    for directory, _, names in os.walk(target):
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                status = path.stat()
                size += status.st_size
                path.chmod(0o555 if status.st_mode & 0o100 else 0o444)
        if directory != str(target):
            Path(directory).chmod(0o555)
    return size


def _write_ready(target: Path, content: str) -> None:
    """Write everything to disk, and then the file `.ready`."""
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed")
        draft = target / f"{READY}.new"
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(0o444)
        draft.rename(target / READY)
        target.chmod(0o555)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(directory: Path) -> None:
    """Delete a directory, even one whose folders are read-only. Raises OSError."""
    for path, names, _ in os.walk(directory):
        for name in (path, *(os.path.join(path, one) for one in names)):  # noqa: PTH118
            if not os.path.islink(name):  # noqa: PTH114
                os.chmod(name, 0o700)  # noqa: PTH101
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
