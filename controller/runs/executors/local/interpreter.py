"""The interpreter of a flow: its command line, its search path for programs, and the copy of our SDK for it.

Used by the launcher, by the fork servers and by `controller execute`. None stands for the controller's own interpreter;
any other has its own packages and may have another version of Python (3.10 to 3.14).
"""

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import controller
from controller.model.python_environments import PythonRuntime
from controller.runs.executors.local.users import FlowUser, grant_traversal
from controller.sources.source import as_text

PACKAGE = Path(controller.__file__).parents[1]


def interpreter_command(python: PythonRuntime | None) -> list[str]:
    """Return the interpreter with the option that keeps the folder of a script off the path; Python 3.10 has none."""
    if python is None:
        return [as_text(sys.executable), "-P"]
    version = (python.version or "3.10").split(".")
    return [python.executable, *(["-P"] if tuple(map(int, version[:2])) >= (3, 11) else [])]


def search_path(python: PythonRuntime, path: str) -> str:
    """Return the PATH of a flow: the programs of its environment come first."""
    return f"{Path(python.executable).parent}:{path}"


def install_sdk(directory: Path, user: FlowUser | None = None) -> Path:
    """Return the folder below `directory` with a copy of our SDK, which it creates if it is missing. Raises OSError.

    The folder is named for the content of the SDK: a run that an earlier version of the controller started keeps its
    own. It contains nothing else, so that a flow in an environment can't import other parts of the controller.
    """
    target = directory / _sdk_digest()
    if not target.is_dir():
        directory.mkdir(mode=0o700, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=directory))
        try:
            for file in _sdk_files():
                copy = new / file.relative_to(PACKAGE)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                copy.chmod(0o644)
            for folder in (new, new / "controller", new / "controller" / "sdk"):
                folder.chmod(0o755)
            with contextlib.suppress(FileExistsError):
                os.rename(new, target)  # noqa: PTH104 - `Path.rename` would do the same; an existing folder is not empty
        finally:
            shutil.rmtree(new, ignore_errors=True)
    if user is not None:
        grant_traversal(user, directory)
    return target


@functools.cache
def _sdk_digest() -> str:
    content = hashlib.sha256()
    for file in _sdk_files():
        content.update(b"%d " % file.stat().st_size + file.name.encode() + file.read_bytes())
    return content.hexdigest()[:16]


def _sdk_files() -> list[Path]:
    package = PACKAGE / "controller"
    return [package / "__init__.py", *sorted((package / "sdk").glob("*.py"))]
