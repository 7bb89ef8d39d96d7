"""The checks of `controller doctor` for Python environments: uv, the interpreters, and where their files are."""

import os
from collections.abc import Iterable
from contextlib import suppress

from controller.app.python_builds import read_declared
from controller.clock import SystemClock
from controller.errors import ControllerError
from controller.manifests.build import build_deployment
from controller.model.python_environments import PythonRequest, PythonSettings, RequirementsSource
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.machine_check import find_interpreter, find_uv_version
from controller.queries.doctor import Check
from controller.remotes import RemoteUrl
from controller.settings import Location, UvSettings
from controller.sources.open_source import open_source
from controller.store import Store, inventory
from controller.store.state_directory import StateDirectory


def check_python(location: Location, state: StateDirectory, settings: UvSettings) -> list[Check]:
    """Return the checks. Those of interpreters are made if deployments have Python environments of their own."""
    requests = _requests(location, state)
    results = [_uv(settings, is_needed=bool(requests)), *_interpreters(requests, settings)]
    with suppress(PermissionError):  # the check of the state reports this error
        if state.python.is_dir():
            results.append(_directory(state))
    return results


def _uv(settings: UvSettings, *, is_needed: bool) -> Check:
    try:
        return Check(name="uv", status="ok", message=find_uv_version(settings, SystemClock()))
    except PythonBuildError as error:
        status = "error" if is_needed else "warning"
        return Check(name="uv", status=status, message=error.message, hint=error.hint)


def _interpreters(requests: Iterable[PythonRequest], settings: UvSettings) -> list[Check]:
    """Check each interpreter that a deployment names once, by its path or its version."""
    results = []
    for name, request in sorted(
        {request.interpreter or request.version or "": request for request in requests}.items()
    ):
        title = f"interpreter {name}" if name else "interpreter"
        try:
            message = find_interpreter(request, settings, SystemClock())
            results.append(Check(name=title, status="ok", message=message))
        except PythonBuildError as error:
            place = f"{request.declared_at}: {error.message}"
            results.append(Check(name=title, status="error", message=place, hint=error.hint))
    return results


def _directory(state: StateDirectory) -> Check:
    if os.access(state.python, os.W_OK | os.X_OK, effective_ids=True):
        return Check(name="python environments", status="ok", message=f"{state.python} is writable")
    message = f"{state.python} is not writable"
    hint = "let the user of the controller write there, or choose another --state-dir"
    return Check(name="python environments", status="error", message=message, hint=hint)


def _requests(location: Location, state: StateDirectory) -> list[PythonRequest]:
    """Return what the deployments of the followed revision ask for; of a URL, those that were applied last."""
    try:
        if isinstance(location.repo, RemoteUrl):
            return _applied_requests(state)
        declared = read_declared(open_source(location), location.environment, SystemClock().now())
    except ControllerError:
        return []  # the checks of the source, the environment and the database report these errors
    return list(declared.requests.values())


def _applied_requests(state: StateDirectory) -> list[PythonRequest]:
    store = Store.open_existing(state.database)
    if store is None:
        return []
    try:
        with store.read() as tx:
            entries = inventory.entries(tx)
    finally:
        store.close()
    deployments = [build_deployment(entry.document, entry.file, entry.line) for entry in entries.values()]
    return [_request(deployment.python, deployment.file) for deployment in deployments if deployment.python is not None]


def _request(settings: PythonSettings, file: str) -> PythonRequest:
    """Return the part of a request that decides on the interpreter."""
    source = RequirementsSource.LIST if settings.interpreter is None else RequirementsSource.INTERPRETER
    return PythonRequest(source=source, declared_at=file, interpreter=settings.interpreter, version=settings.version)
