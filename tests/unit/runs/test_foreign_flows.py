"""Flows of another framework: their functions are called without the framework.

A replacement has the names that controller uses; `make prefect` runs the same tests with Prefect.
"""

from typing import Any

import pytest

from tests.unit.runs.conftest import RunFlow, one_start

pytestmark = pytest.mark.integration

STAND_IN = {
    "prefect/__init__.py": "from prefect.flows import flow\nfrom prefect.tasks import task\n"
    "from prefect.logging import get_run_logger\nfrom prefect.utilities import unmapped\n",
    "prefect/flows.py": """
class Flow:
    should_validate_parameters = True
    def __init__(self, fn, name=None):
        self.fn, self.name, self.__module__ = fn, name or fn.__name__.replace("_", "-"), fn.__module__
        self.__name__ = fn.__name__
    def __call__(self, *args, **kwargs):
        raise RuntimeError("asks its server")
def flow(fn=None, **options):
    return (lambda fn: Flow(fn, **options)) if fn is None else Flow(fn)
""",
    "prefect/tasks.py": """
class Task:
    def __init__(self, fn):
        self.fn = fn
    def __call__(self, *args, **kwargs):
        raise RuntimeError("asks its server")
    submit = map = __call__
def task(fn=None, **options):
    return Task if fn is None else Task(fn)
""",
    "prefect/logging.py": """
import logging
def get_run_logger():
    if logging.getLogger("prefect.flow_runs").disabled:
        logger = logging.getLogger("null")
        logger.disabled = True
        return logger
    raise RuntimeError("no run")
""",
    "prefect/utilities.py": "class unmapped:\n    def __init__(self, value):\n        self.value = value\n",
}

FLOWS = """
from typing import List
from prefect import flow, get_run_logger, task, unmapped

@task(retries=2)
def double(x, times=2):
    return x * times

@task
async def later(x):
    return x

@task
def fail(x):
    raise ValueError(f"no {x}")

@flow
def inner(nums: List[int]):
    return sum(nums)

@flow(name="the total")
def total(nums: List[int]):
    get_run_logger().info("adding %d numbers", len(nums))
    first = double.submit(nums[0])
    mapped = double.map(nums, times=unmapped(10))
    return [inner(nums), first, double(first), mapped, later.submit(5).result()]

@flow
async def coroutine(x: int):
    return await later(x) + 1

@flow
def failing():
    return fail.submit(1)
"""

REFUSED = 'parameter nums: expected list[int], got the string "[1, 2, 3]"'
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("total", {"nums": ["1", 2, 3]}, [6, 2, 4, [10, 20, 30], 5]),
    ("the total", {"nums": [1]}, [1, 2, 4, [10], 5]),
    ("coroutine", {"x": "4"}, 5),
    ("failing", {}, "ValueError: no 1"),
    ("inner", {"nums": "[1, 2, 3]"}, REFUSED),
]


@one_start
@pytest.mark.parametrize(("name", "parameters", "result"), CASES)
def test_a_flow_of_another_framework_is_called_directly(
    run_flow: RunFlow, name: str, parameters: dict[str, Any], result: Any
) -> None:
    ending, log = run_flow({**STAND_IN, "a.py": FLOWS}, f"a.py:{name}", **parameters)
    assert ending.get("result", ending.get("error")) == result, log
    assert name != "total" or "adding 3 numbers" in log
