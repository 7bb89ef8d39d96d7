"""The jobs that `environments` gives to `builder`, and the pauses after failed ones."""

from datetime import timedelta

from controller.model.python_environments import PythonRequest
from controller.records import dataclass

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request to build. `is_refresh`: its environment is ready, but the interpreter was changed since."""

    request: PythonRequest
    is_refresh: bool = False
