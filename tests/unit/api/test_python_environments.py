"""The Python environments of deployments and runs in the API, on the pages, in the metrics and in the events."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.client import Client, ProblemError
from controller.python_environments import builder
from controller.python_environments.build_jobs import FIRST_RETRY
from controller.settings import UvSettings
from tests.conftest import new_repository, wait_until
from tests.package_index import PackageIndex, counted_uv, served_index
from tests.unit.api.conftest import Served, serve

pytestmark = pytest.mark.integration

FLOW = "import fruit\n\ndef taste() -> str:\n    return fruit.__version__\n"
DEPLOYMENTS = """
name: taste
flow: flows/taste.py:taste
python: {requirements: flows/requirements.txt}
---
name: plain
command: ["true"]
"""


@contextmanager
def serving(folder: Path, index: PackageIndex) -> Iterator[Served]:
    """Start a controller with the deployments, whose packages are in this index."""
    repository = new_repository(folder / "repo")
    requirement = index.add("fruit", "1.0")
    repository.commit(
        {
            "flows/taste.py": FLOW,
            "flows/requirements.txt": f"{requirement}\n",
            "deployments/all.yaml": DEPLOYMENTS,
        }
    )
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "UV_DEFAULT_INDEX": index.url,
        "UV_HTTP_RETRIES": "0",
    }
    settings = UvSettings(program=counted_uv(folder).program, variables=variables)
    instance = serve(repository, folder / "state", uv=settings)
    yield instance
    instance.controller.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A controller for tests that leave the packages as they are."""
    with served_index() as index, serving(tmp_path_factory.mktemp("served"), index) as instance:
        yield instance


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    """The index of `fresh`."""
    with served_index() as index:
        yield index


@pytest.fixture
def fresh(tmp_path: Path, index: PackageIndex) -> Iterator[Served]:
    """A controller of its own for each test."""
    with serving(tmp_path, index) as instance:
        yield instance


def python_ready(served: Served, name: str = "taste") -> Any:
    conditions = served.get(f"/api/v1/deployments/{name}").json()["conditions"]
    return next((one for one in conditions if one["type"] == "PythonReady"), None)


def wait_until_ready(served: Served) -> None:
    wait_until(lambda: python_ready(served)["status"] == "True")


def test_a_deployment_and_its_runs_show_their_python_environment(served: Served) -> None:
    run = served.run("taste")
    assert (run["state"], run["result"]) == ("succeeded", "1.0"), run
    wait_until_ready(served)
    python = served.get("/api/v1/deployments/taste").json()["python"]
    assert python["packages"] == {"fruit": "1.0"}
    assert python["declared_at"] == "flows/requirements.txt"
    assert len(python["digest"]) == 64
    assert run["python"] == python
    [listed] = served.get("/api/v1/runs?deployment=taste").json()["items"]
    assert listed["python"] == python
    for page in ("/deployments/taste?tab=definition", f"/runs/{run['id']}?tab=details"):
        text = served.get(page, Accept="text/html").text
        assert "fruit 1.0" in text
        assert python["version"] in text
    assert python_ready(served)["message"] == (
        f"Python {python['version']} with 1 package, declared in flows/requirements.txt."
    )


def test_the_python_environment_of_the_controller_is_null(served: Served) -> None:
    run = served.run("plain")
    assert (run["python"], served.get("/api/v1/deployments/plain").json()["python"]) == (None, None)
    assert python_ready(served, "plain") is None
    assert "<dt>Python</dt>" not in served.get(f"/runs/{run['id']}?tab=details", Accept="text/html").text


def commit_second_version(served: Served, index: PackageIndex) -> None:
    requirement = index.add("fruit", "2.0")
    served.commit({"flows/requirements.txt": f"{requirement}\n"})


def test_a_failed_build_is_shown_and_reported_once_until_it_recovers(
    fresh: Served, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "LONGEST_RETRY", FIRST_RETRY)
    wait_until_ready(fresh)
    before = fresh.get("/api/v1/deployments/taste").json()["python"]
    index.status = 503
    commit_second_version(fresh, index)
    wait_until(lambda: python_ready(fresh)["reason"] == "IndexUnreachable")
    detail = fresh.get("/api/v1/deployments/taste").json()
    assert (detail["sync"], detail["python"]) == ("OutOfSync", before)
    assert fresh.run("taste")["result"] == "1.0"
    assert "IndexUnreachable" in fresh.get("/deployments/taste", Accept="text/html").text
    assert "IndexUnreachable" in fresh.get("/deployments", Accept="text/html").text
    assert "taste waits for its Python environment" in fresh.get("/", Accept="text/html").text
    index.status = 502
    wait_until(lambda: "502" in python_ready(fresh)["message"])
    index.status = None
    wait_until_ready(fresh)
    wait_until(lambda: fresh.get("/api/v1/deployments/taste").json()["python"]["packages"] == {"fruit": "2.0"})
    events = fresh.get("/api/v1/events?about=taste").json()["items"]
    assert [(event["reason"], event["severity"]) for event in reversed(events) if event["reason"] != "Triggered"] == [
        ("Created", "info"),
        ("PythonReady", "info"),
        ("Building", "info"),
        ("IndexUnreachable", "error"),
        ("Recovered", "info"),
    ]


def test_environments_are_listed_and_found_by_digest(served: Served) -> None:
    wait_until_ready(served)
    client = Client(served.url, served.token)
    [row] = client.python_environments()
    assert (row["state"], row["deployments"], row["packages"]) == ("ready", ["taste"], {"fruit": "1.0"})
    detail = client.python_environment(row["id"][:12])
    assert row.items() <= detail.items()
    assert detail["lock"] is not None
    assert detail["lock"].startswith("fruit==1.0 --hash=sha256:")
    for digest in ("f" * 64, "taste", "a/b"):
        with pytest.raises(ProblemError) as caught:
            client.python_environment(digest)
        assert caught.value.status == 404


def metrics(served: Served) -> dict[str, float]:
    lines = served.get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if line.startswith("controller_python")]
    return {name: float(value) for name, _, value in pairs}


def test_metrics_count_environments_builds_and_fork_servers(fresh: Served, index: PackageIndex) -> None:
    wait_until_ready(fresh)
    fresh.run("taste")
    values = metrics(fresh)
    assert values.pop("controller_python_bytes") > 0
    assert values.pop("controller_python_last_build_seconds") > 0
    assert values == {
        'controller_python_environments{state="waiting"}': 0,
        'controller_python_environments{state="building"}': 0,
        'controller_python_environments{state="ready"}': 1,
        'controller_python_environments{state="failed"}': 0,
        "controller_python_builds_total": 1,
        "controller_python_build_failures_total": 0,
        "controller_python_fork_servers": 1,
    }
    index.status = 503
    commit_second_version(fresh, index)
    wait_until(lambda: metrics(fresh)["controller_python_build_failures_total"] == 1)
    assert metrics(fresh)['controller_python_environments{state="failed"}'] == 1
