"""A type checker sees the parameters and the return types of decorated functions."""

import subprocess
import sys
from pathlib import Path

CODE = """
from controller import flow, task
from controller import nope

@flow
def add(n: int, s: str = "") -> list[int]: return [n]
@flow(name="x", retries=2)
async def later(n: int) -> str: return ""
@task
async def fetch(n: int) -> bytes: return b""
@task(retries=1)
def halve(n: int) -> float: return n / 2

reveal_type(add(1))
reveal_type(add.fn)
reveal_type(add.with_options(name="y")(n=1))
reveal_type(fetch.submit(1))
reveal_type(halve.submit(1).result())
reveal_type(halve.map([1]).result())
async def main() -> None:
    reveal_type(await later(1))
add("x")
halve(1, 2)
"""
EXPECTED = [
    'error: Module "controller" has no attribute "nope"  [attr-defined]',
    'note: Revealed type is "list[int]"',
    'note: Revealed type is "def (n: int, s: str =) -> list[int]"',
    'note: Revealed type is "list[int]"',
    'note: Revealed type is "controller.sdk.futures.Future[bytes]"',
    'note: Revealed type is "float"',
    'note: Revealed type is "list[float]"',
    'note: Revealed type is "str"',
    'error: Argument 1 to "__call__" of "Flow" has incompatible type "str"; expected "int"  [arg-type]',
    'error: Too many arguments for "__call__" of "Task"  [call-arg]',
]


def test_decorated_functions_keep_their_types(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), "code.py"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    lines = [line.partition(": ")[2] for line in output.splitlines()]
    assert lines == EXPECTED, output
