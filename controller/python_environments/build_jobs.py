"""What `environments` asks `builder` to build, and when it asks again after a failure."""

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
