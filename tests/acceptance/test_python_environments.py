"""Each deployment runs with its own libraries. A version becomes active when these are installed, and not before."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until
from tests.package_index import PackageIndex, served_index

pytestmark = pytest.mark.acceptance

FLOW = """
from pathlib import Path

import sums
from controller import flow, markdown, task
from shop import prices


@task
def double(number: int) -> int:
    return 2 * number


@flow
def main(number: int = 1) -> list[object]:
    markdown("# Report")
    program = Path("/proc/self/cmdline").read_bytes().split(b"\\0")[0].decode()
    return [sums.__version__, double(number) + prices.BASE, program]
"""
WARM = "controller flow"


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with served_index() as index:
        for version in ("1.0", "2.0", "3.0"):
            index.add("sums", version)
        yield index


@pytest.fixture
def shop(repository: Repository, running: Start, index: PackageIndex) -> Repository:
    """A repository with a src layout, whose two deployments need versions of a library that exclude each other."""
    repository.write("flows/report.py", FLOW)
    repository.write("src/shop/prices.py", "BASE = 40\n")
    repository.write("src/shop/__init__.py", "")
    for name, version in (("old", "1.0"), ("new", "2.0")):
        repository.write(f"requirements/{name}.txt", f"sums=={version}\n")
        repository.write(
            f"deployments/{name}.yaml",
            f"""
            name: {name}
            flow: flows/report.py:main
            import_paths: [src]
            python: {{requirements: requirements/{name}.txt, preload: [sums]}}
            """,
        )
    repository.commit()
    start(repository, running, index)
    repository.wait_for_revision(None)
    return repository


def start(repository: Repository, running: Start, index: PackageIndex) -> Any:
    return running(repository, UV_DEFAULT_INDEX=index.url, UV_HTTP_RETRIES="0")


def condition(repository: Repository, name: str, kind: str = "PythonReady") -> tuple[str, str]:
    """Return the status and the reason of a condition of a deployment; empty if it has none."""
    conditions = {one["type"]: one for one in (repository.deployment(name) or {}).get("conditions", ())}
    return (conditions[kind]["status"], conditions[kind]["reason"]) if kind in conditions else ("", "")


def is_true(repository: Repository, name: str) -> bool:
    return condition(repository, name)[0] == "True"


def wait_until_ready(repository: Repository, *names: str) -> None:
    for name in names:
        is_ready = partial(is_true, repository, name)
        repository.wait_for_status(is_ready, f"the libraries of {name}")


def test_versions_that_exclude_each_other_run_side_by_side_and_warm(shop: Repository) -> None:
    for name, version in (("old", "1.0"), ("new", "2.0")):
        first, second = shop.trigger(name, "--param", "number=1"), shop.trigger(name, "--param", "number=2")
        assert [run["state"] for run in (first, second)] == ["succeeded", "succeeded"]
        assert (first["result"][:2], second["result"][:2]) == ([version, 42], [version, 44])
        assert second["result"][2].startswith(WARM), "the fork server of the environment started it"
        shown = shop.tell("runs", "show", second["id"])
        assert [one["name"] for one in shown["tasks"]] == ["main", "double"]
        assert [one["kind"] for one in shown["artifacts"]] == ["markdown"]
        assert condition(shop, name)[0] == "True"


def test_a_changed_lock_waits_while_the_index_is_down_and_recovers(shop: Repository, index: PackageIndex) -> None:
    wait_until_ready(shop, "old", "new")
    index.status = 503
    shop.write("requirements/old.txt", "sums==3.0\n")
    shop.commit("newer sums")
    shop.wait_for_status(lambda: condition(shop, "old") == ("False", "IndexUnreachable"), "the failed build")
    assert condition(shop, "old", "Ready") == ("False", "PythonNotReady")
    assert shop.deployment("old")["sync"] == "OutOfSync"
    assert (condition(shop, "new"), shop.deployment("new")["sync"]) == (("True", "Ready"), "Synced")
    assert shop.trigger("old")["result"][0] == "1.0", "the last good version goes on"
    assert shop.trigger("new")["result"][0] == "2.0"
    index.status = None
    wait_until_ready(shop, "old")
    assert shop.trigger("old")["result"][0] == "3.0"
    reasons = [event["reason"] for event in shop.tell("events") if event["about"] == "old"]
    assert reasons.count("PythonNotReady") <= 2, "one when the build begins, one when it fails; not one for each retry"


def test_a_kill_during_a_build_leaves_no_half_environment(
    repository: Repository, running: Start, index: PackageIndex
) -> None:
    repository.write("flows/report.py", FLOW.replace("from shop import prices", "").replace(" + prices.BASE", ""))
    repository.write(
        "deployments/new.yaml",
        """
        name: new
        flow: flows/report.py:main
        python: {requirements: [sums==2.0]}
        schedule: {interval: 1s}
        """,
    )
    repository.commit()
    index.is_stalled = True
    controller = start(repository, running, index)
    until(index.stalled.is_set, "the build to ask the index")
    # The engine finds out what a new run waits for in its next turn.
    until(
        lambda: "python environment" in [run["waiting"] for run in repository.runs("new")],
        "a due time to wait for the environment",
    )
    controller.kill()
    index.is_stalled = False
    index.release.set()
    start(repository, running, index)
    run = repository.wait_for_run("new")
    assert run["result"][:2] == ["2.0", 2]
    environments = [path for path in (repository.state / "python").iterdir() if len(path.name) == 64]
    assert [(path / ".ready").exists() for path in environments] == [True]
