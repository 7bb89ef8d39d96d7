"""Finds the interpreter that starts the flow of a run, and keeps the runs whose Python environment is not ready.

Used by the engine's thread; only `notify` may be called from any thread. The files that declare the environment are
read from the code that the run executes.
"""

from collections import OrderedDict
from functools import partial
from pathlib import Path

from controller.errors import SourceError
from controller.manifests.python_requests import RequirementsError, check_size, read_request
from controller.model.deployments import Deployment, FlowTarget
from controller.model.python_environments import PythonRequest, PythonRuntime
from controller.model.runs import Run, RunId
from controller.python_environments import PythonEnvironments
from controller.sources.safe_open import read_inside
from controller.sources.source import Source

_MAX_CACHED = 4096


class PythonRuntimes:
    """The interpreters of runs. `waiting` are the pending runs whose Python environment was not ready last time.

    Without `environments`, every flow runs with the controller's own interpreter.
    """

    def __init__(self, environments: PythonEnvironments | None, source: Source) -> None:
        self.waiting: set[RunId] = set()
        self._environments = environments
        self._source = source
        self._has_changed = False
        self._requests: OrderedDict[tuple[str, str], PythonRequest | None] = OrderedDict()

    def notify(self) -> None:
        """Let the waiting runs try again: an environment has become ready or has failed. Called from any thread."""
        self._has_changed = True

    def refresh(self) -> bool:
        """Remove all runs from `waiting` if `notify` was called. Return whether it was."""
        if not self._has_changed:
            return False
        self._has_changed = False  # before anything is examined, so that a later `notify` is not lost
        self.waiting.clear()
        return True

    def find(self, run: Run, deployment: Deployment, root: Path) -> tuple[bool, PythonRuntime | None]:
        """Return whether the run can start now, and its interpreter: None for the controller's own.

        A run that can't is added to `waiting`, and its environment is built. Raises SourceError, StateError.
        """
        request = self._request(run, deployment, root)
        if self._environments is None or request is None:
            return True, None
        preload = deployment.python.preload if deployment.python is not None else ()
        runtime = self._environments.find_runtime(request, preload)
        if runtime is None:
            is_known = self._environments.find(request.digest) is not None
            committed_at = None if is_known else self._source.committed_at(run.revision)
            self._environments.ensure([request], committed_at)
            self.waiting.add(run.id)
        return runtime is not None, runtime

    def _request(self, run: Run, deployment: Deployment, root: Path) -> PythonRequest | None:
        if deployment.python is None and not isinstance(deployment.target, FlowTarget):
            return None
        key = (run.revision, run.spec_digest)
        if self._source.is_pinned and key in self._requests:
            self._requests.move_to_end(key)
            return self._requests[key]
        try:
            request = read_request(deployment, partial(read_inside, root, check_size=check_size))
        except RequirementsError as error:
            raise SourceError(f"{error.path}: {error.message}.") from None
        if self._source.is_pinned:
            self._requests[key] = request
            if len(self._requests) > _MAX_CACHED:
                self._requests.popitem(last=False)
        return request
