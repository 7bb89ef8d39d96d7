"""Controllers with a cluster, from the options to the views. The jobs of the cluster are processes of this machine."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.app import cluster
from controller.errors import UsageError
from controller.executor_settings import ExecutorSettings, check_executors
from controller.listen_settings import Listen, parse_listen
from tests.conftest import GitRepository, wait_until
from tests.process_engine import ProcessEngine
from tests.remote_parts import free_port
from tests.unit.api.conftest import Served, serve
from tests.unit.runs.conftest import PATH

RAY = ExecutorSettings(ray_address="http://127.0.0.1:8265")
SECRET = b"a secret of all nodes"
CERTIFICATE = Path(__file__).parents[2] / "localhost.pem"
REMOTE = """
name: far-add
flow: flows/all.py:add
parameters: {a: 1}
executor: ray
---
name: with-secret
command: [sh, -c, 'test "$KEY" = s3cret']
secrets: {KEY: {env: CLUSTER_TEST_KEY}}
executor: ray
"""


class Cluster(ProcessEngine):
    """The processes as a cluster with the name `ray`."""

    name = "ray"


class Site:
    """A controller with a cluster. `start` starts it with further settings."""

    def __init__(self, top: Path, committed: Path) -> None:
        self._top = top
        self._repository = GitRepository(shutil.copytree(committed, top / "repo"))
        self._repository.commit({"deployments/far.yaml": REMOTE})
        self.cluster = Cluster(top / "cluster", PATH)
        self.served: Served | None = None

    def start(self, **executors: Any) -> Served:
        listen = {"node_listen": parse_listen(f"127.0.0.1:{free_port()}")}
        settings = replace(RAY, **(listen | executors))
        self.served = serve(self._repository, self._top / "state", executors=settings)
        return self.served

    def close(self) -> None:
        if self.served is not None:
            self.served.controller.stop()
        self.cluster.close()


@pytest.fixture
def site(tmp_path: Path, committed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, committed)
    monkeypatch.setattr(cluster, "RayEngine", lambda _: made.cluster)
    yield made
    made.close()


def trigger(served: Served, name: str) -> str:
    return str(served.post(f"/api/v1/deployments/{name}/runs", {}).json()["run_id"])


def waiting(served: Served, run_id: str) -> str | None:
    found: str | None = served.get(f"/api/v1/runs/{run_id}").json()["waiting"]
    return found


def test_a_flow_runs_on_the_cluster_and_the_views_say_where(site: Site) -> None:
    served = site.start()
    run = served.run("far-add")
    assert (run["state"], run["result"]) == ("succeeded", 3)
    [attempt] = run["history"]
    assert attempt["executor"] == "ray"
    assert attempt["node"]
    assert attempt["job_id"] == site.cluster.jobs[0]
    assert "adding 1 and 2" in served.get(f"/api/v1/runs/{run['id']}/logs").text
    page = served.get(f"/runs/{run['id']}?tab=details").text
    assert attempt["job_id"] in page
    assert served.get("/api/v1/settings").json()["executors"] == ["local", "ray"]


def test_nodes_check_the_certificate_of_their_address(site: Site) -> None:
    certificate = str(CERTIFICATE)
    listen = parse_listen(f"127.0.0.1:{free_port()}", certificate=certificate, key=certificate, option="--node-listen")
    assert listen is not None
    site.cluster.variables["SSL_CERT_FILE"] = certificate
    run = site.start(node_listen=listen, node_url=f"https://localhost:{listen.port}").run("far-add")
    assert (run["state"], run["result"]) == ("succeeded", 3)


def test_other_deployments_run_on_this_machine(site: Site) -> None:
    run = site.start().run("add")
    assert (run["state"], run["history"][0]["executor"], run["history"][0]["job_id"]) == ("succeeded", "local", None)


def test_the_cluster_can_be_the_default(site: Site) -> None:
    run = site.start(default="ray").run("add")
    assert (run["state"], run["history"][0]["executor"]) == ("succeeded", "ray")


def test_secrets_wait_for_a_secret_of_the_nodes(site: Site) -> None:
    served = site.start()
    run_id = trigger(served, "with-secret")
    wait_until(lambda: waiting(served, run_id) == "no node secret (see --node-secret-file)")
    assert site.cluster.jobs == []


def test_secrets_reach_a_node_that_knows_the_secret(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_TEST_KEY", "s3cret")
    file = tmp_path / "node-secret"
    file.write_bytes(SECRET + b"\n")
    site.cluster.variables["CONTROLLER_NODE_SECRET_FILE"] = str(file)
    run = site.start(node_secret_file=file).run("with-secret")
    assert (run["state"], run["reason"]) == ("succeeded", None)


def test_a_run_waits_for_an_executor_that_is_not_there(served: Served) -> None:
    served.commit({"deployments/far.yaml": REMOTE})
    run_id = trigger(served, "far-add")
    wait_until(lambda: waiting(served, run_id) == "no executor ray here")
    served.post(f"/api/v1/runs/{run_id}/cancel")


def test_a_waiting_job_can_be_cancelled(site: Site) -> None:
    site.cluster.set_full(True)
    served = site.start()
    run_id = trigger(served, "far-add")
    wait_until(lambda: site.cluster.jobs)
    run = served.get(f"/api/v1/runs/{run_id}").json()
    assert (run["state"], run["waiting"]) == ("pending", "ray has not started its job")
    served.post(f"/api/v1/runs/{run_id}/cancel")
    assert served.wait_for(run_id)["state"] == "cancelled"


@pytest.mark.parametrize(
    ("settings", "listen", "working_tree", "message"),
    [
        (ExecutorSettings(default="ray"), Listen(), False, "--executor ray needs --ray-address"),
        (ExecutorSettings(node_url="http://x"), Listen(), False, "--node-url needs --ray-address"),
        (ExecutorSettings(ray_token_file=Path("token")), Listen(), False, "--ray-token-file needs --ray-address"),
        (RAY, None, False, "it serves no HTTP"),
        (RAY, Listen(), True, "a cluster runs only committed code"),
        (RAY, Listen(is_behind_proxy=True), False, "the URL of the proxy"),
        (replace(RAY, node_url="ftp://x"), Listen(), False, "expected an http"),
        (replace(RAY, node_url="http://user@x"), Listen(), False, "expected an http"),
        (replace(RAY, node_url="http://x:99999"), Listen(), False, "expected an http"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: ExecutorSettings, listen: Listen | None, working_tree: bool, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_executors(settings, listen, working_tree=working_tree)


@pytest.mark.parametrize(
    ("settings", "listen"),
    [
        (ExecutorSettings(), None),
        (RAY, Listen()),
        (replace(RAY, node_url="https://controller.example.org/at"), None),
        (replace(RAY, node_listen=Listen(port=4201)), None),
    ],
)
def test_settings_that_work_are_kept(settings: ExecutorSettings, listen: Listen | None) -> None:
    if settings.node_url is not None:
        listen = Listen()
    assert check_executors(settings, listen, working_tree=False) == settings


@pytest.mark.parametrize("content", [None, b"", b"short\n"])
def test_a_useless_secret_of_nodes_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match="--node-secret-file"):
        replace(RAY, node_secret_file=file).read_node_secret()


@pytest.mark.parametrize(
    ("settings", "url", "hosts"),
    [
        (RAY, "http://127.0.0.1:4200", {"127.0.0.1:4200"}),
        (replace(RAY, node_listen=Listen(host="::1", port=4201)), "http://[::1]:4201", {"[::1]:4201"}),
        (
            replace(RAY, node_url="https://a.example.org/at"),
            "https://a.example.org/at",
            {"a.example.org:443", "a.example.org"},
        ),
        (replace(RAY, node_url="http://a.example.org:8080"), "http://a.example.org:8080", {"a.example.org:8080"}),
    ],
)
def test_nodes_use_the_url_that_the_operator_gives_or_the_address(
    settings: ExecutorSettings, url: str, hosts: set[str]
) -> None:
    assert settings.find_node_url(Listen()) == url
    assert settings.node_hosts(Listen()) == hosts
    assert settings.reaches_only_this_machine(Listen()) is (settings.node_url is None)
