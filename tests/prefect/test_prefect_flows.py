"""Flows that are made with Prefect's own decorators run without its server, if Prefect is where the flow runs.

`make prefect` installs it into a place of its own. The stand-in of test_foreign_flows.py is checked always.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controller.runs.beside import flow_process
from tests.unit.runs.test_foreign_flows import CASES, FLOWS

pytestmark = pytest.mark.prefect
PYTHON = Path(__file__).parents[2] / ".venv-prefect/bin/python"


@pytest.mark.parametrize(("name", "parameters", "result"), CASES)
def test_a_flow_of_prefect_runs_without_a_server(
    tmp_path: Path, name: str, parameters: dict[str, Any], result: Any
) -> None:
    (tmp_path / "a.py").write_text(FLOWS, encoding="utf-8")
    call = {"root": str(tmp_path), "path": "a.py", "name": name, "parameters": parameters, "pycache": None}
    (tmp_path / "call").write_text(json.dumps(call), encoding="utf-8")
    command = ["sh", "-c", 'exec "$0" -P "$1" 3<call 4>events', str(PYTHON), flow_process.__file__]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    events = json.loads((tmp_path / "events").read_text(encoding="utf-8"))
    assert events.get("result", events.get("error")) == result, done.stderr
    assert name != "total" or "adding 3 numbers" in done.stderr
