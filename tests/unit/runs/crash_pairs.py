"""Runs a program that answers pairs of crash points, as `crashing` and `remote_crashing` do, and checks its answers."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def check_answers(
    program: str, work: Path, pairs: list[list[str]], is_right: Callable[[dict[str, Any]], bool], *, timeout: float
) -> None:
    """Check that the program (a module) answers all pairs in their order, and that each answer is right."""
    done = subprocess.run(
        [sys.executable, "-m", program, str(work)],
        input="".join(json.dumps(pair) + "\n" for pair in pairs),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["points"] for answer in answers] == pairs
    assert [answer for answer in answers if not is_right(answer)] == [], done.stderr
