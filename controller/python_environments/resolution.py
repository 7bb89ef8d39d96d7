"""Asks the package index whether requirements can be resolved, without installing anything.

`controller validate --resolve` calls it.
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from controller.clock import Clock
from controller.model.python_environments import PythonRequest, RequirementsSource
from controller.python_environments.build_log import BuildLog
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.interpreters import Interpreters
from controller.python_environments.locks import Locks
from controller.python_environments.requirement_lines import clean_files, read_lock
from controller.python_environments.uv import Uv
from controller.settings import UvSettings


def find_unresolvable(
    requests: Iterable[PythonRequest], settings: UvSettings, clock: Clock
) -> dict[str, PythonBuildError]:
    """Return why requests can't be resolved, by the digest of the request. Locked ones are not checked.

    Raises PythonBuildError if there is no uv.
    """
    unlocked = {request.digest: request for request in requests if not _is_locked(request)}
    errors: dict[str, PythonBuildError] = {}
    if not unlocked:
        return errors
    with TemporaryDirectory(prefix="controller-resolve-") as name:
        directory = Path(name)
        uv = Uv(settings.program, cache=directory / "cache", variables=settings.variables, clock=clock)
        interpreters = Interpreters(uv, allowed=settings.allowed_interpreters, directory=directory)
        locks = Locks(uv, directory / "scratch", allows_source_builds=settings.allows_source_builds)
        for digest, request in unlocked.items():
            uv.begin()
            try:
                locks.resolve(request, interpreters.find(request), None, BuildLog(directory / "log"))
            except PythonBuildError as error:
                if error.reason == "UvNotFound":
                    raise
                errors[digest] = error
    return errors


def _is_locked(request: PythonRequest) -> bool:
    """Return whether there is nothing to resolve. A project always has a lock."""
    if request.source in (RequirementsSource.PROJECT, RequirementsSource.INTERPRETER):
        return True
    try:
        return read_lock(clean_files(request.files), request.entry) is not None
    except PythonBuildError:
        return False
