"""Flows that need other packages: flows of Prefect without its server, models of Pydantic.

`make prefect` installs both into their own environment. Every test run checks the replacement in test_foreign_flows.py.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controller.runs.executors.local.supervisor import flow_main
from controller.runs.executors.local.supervisor.spawn import encode_call
from tests.unit.runs.test_foreign_flows import CASES, FLOWS

pytestmark = pytest.mark.prefect
PYTHON = Path(__file__).parents[2] / ".venv-prefect/bin/python"

MODELS = """
from typing import Annotated
from pydantic import BaseModel, BeforeValidator, Field
class Item(BaseModel):
    n: int
class Order(BaseModel):
    items: list[Item]
Words = Annotated[list, BeforeValidator(str.split)]
def main(order: Order, many: Annotated[int, Field(gt=3)] = 5, words: Words = "a b"):
    return [order.items[0].n, many, words]
"""
MODEL_CASES: list[tuple[dict[str, Any], Any]] = [
    ({"order": {"items": [{"n": "1"}]}, "many": "4", "words": "c d"}, [1, 4, ["c", "d"]]),
    ({"order": {"items": [{"n": "x"}]}}, "parameter order.items[0].n: expected Order: Input should be a valid integer"),
    ({"order": {"items": [{"n": 1}]}, "many": 2}, "parameter many: expected int: Input should be greater than 3"),
]


def run(directory: Path, code: str, name: str, parameters: dict[str, Any]) -> tuple[Any, str]:
    """Return the end that the flow reported, and its output."""
    (directory / "a.py").write_text(code, encoding="utf-8")
    call = {"root": str(directory), "path": "a.py", "name": name, "parameters": parameters, "pycache": None}
    (directory / "call").write_bytes(encode_call(call))
    command = ["sh", "-c", 'exec "$0" -P "$1" 3<call 4>events', str(PYTHON), flow_main.__file__]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "PREFECT_API_URL": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    events = json.loads((directory / "events").read_text(encoding="utf-8"))
    return events.get("result", events.get("error")), done.stderr


@pytest.mark.parametrize(("name", "parameters", "result"), CASES)
def test_a_prefect_flow_runs_without_a_prefect_server(
    tmp_path: Path, name: str, parameters: dict[str, Any], result: Any
) -> None:
    told, log = run(tmp_path, FLOWS, name, parameters)
    assert told == result, log
    assert name != "total" or "adding 3 numbers" in log


@pytest.mark.parametrize(("parameters", "result"), MODEL_CASES)
def test_pydantic_models_are_created_and_validated(tmp_path: Path, parameters: dict[str, Any], result: Any) -> None:
    told, log = run(tmp_path, MODELS, "main", parameters)
    assert told[: len(result)] == result, log
