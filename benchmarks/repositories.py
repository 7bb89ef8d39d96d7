"""Creates repositories of a given size for the benchmarks."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

DOING_NOTHING = "def main(region: str, days: int = 1, tables: list[str] | None = None) -> None:\n    pass\n"
# A flow that appends its run id and the time to a file next to the repository: one line per start.
COUNTING = """
import os, time

def main(region: str = "eu", days: int = 1, tables: list[str] | None = None) -> None:
    line = f"{os.environ['CONTROLLER_RUN_ID']}={time.time()}\\n"
    descriptor = os.open(%r, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, line.encode())
    os.close(descriptor)
"""
_DEPLOYMENT = """\
# yaml-language-server: $schema=../schemas/deployment.v1.schema.json
name: d{index:05}
flow: flows/noop.py:main
description: >-
  One of many made-up deployments, to see what they cost together.
tags: [bench, made-up, team-{index}]
version: "1.{index}"
parameters:
  region: eu
  days: {index}
  tables:
    - orders
    - customers
    - invoices
schedules:
  - id: main
    {schedule}
    timezone: UTC
    parameters: {{days: 1}}
overlap: skip
timeout: 2h
env:
  LOG_LEVEL: INFO
  REGION_NAME: "eu-{index}"{env}
environments:
  staging:
    parameters: {{region: test}}
    schedules: []
"""


MOST_FILES = 10_000
"""controller reads no more files (docs/format.md), so that with more deployments each file has several."""
Schedule = str | Callable[[int], str]
"""The YAML of a schedule, or a function that returns that of a deployment by its index."""


def make_repository(
    root: Path, count: int, schedule: Schedule, flow: str = DOING_NOTHING, env: Mapping[str, str] | None = None
) -> Path:
    """Create a git repository with `count` deployments of one flow, each with this schedule.

    `flow` is the source of the flow, which does nothing by default; `%r` in it is replaced by the path `started`. `env`
    are more variables of each deployment.
    """
    for folder in ("deployments", "flows"):
        (root / folder).mkdir(parents=True)
    (root / "flows/noop.py").write_text(flow.replace("%r", repr(str(started(root)))))
    step = -(-count // MOST_FILES)
    for first in range(0, count, step):
        documents = [_document(index, schedule, env or {}) for index in range(first, min(first + step, count))]
        (root / f"deployments/d{first:05}.yaml").write_text("---\n".join(documents))
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def _document(index: int, schedule: Schedule, env: Mapping[str, str]) -> str:
    times = schedule(index) if callable(schedule) else schedule.format(minute=index % 60, hour=index % 24)
    more = "".join(f'\n  {name}: "{value}"' for name, value in env.items())
    return _DEPLOYMENT.format(index=index, schedule=times, env=more)


def add_deployment(root: Path, document: str) -> None:
    """Commit another deployment, as a document at the end of the last file. The number of files is limited."""
    last = max((root / "deployments").iterdir())
    last.write_text(f"{last.read_text()}---\n{document}")
    commit(root)


def started(root: Path) -> Path:
    """Return the path of a file next to the repository, in which flows can record their start."""
    return root.with_name(f"{root.name}.started")


def commit(root: Path) -> None:
    """Commit everything."""
    git(root, "add", "-A")
    git(root, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "bench")


def git(root: Path, *arguments: str) -> None:
    """Run git in this repository."""
    subprocess.run(["git", "-C", str(root), *arguments], check=True)
