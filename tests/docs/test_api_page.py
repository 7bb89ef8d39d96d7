"""docs/api.md: its examples work against a real controller, and it names every route and nothing else."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.api.http.application import API, make_routes
from controller.client import Client
from tests.conftest import new_repository
from tests.docs.pages import DOCS, ROOT, code_blocks
from tests.unit.api.conftest import Served, serve

PAGE = (DOCS / "api.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("api-page")
    repository = new_repository(top / "repo")
    files = [path for folder in ("deployments", "flows") for path in (ROOT / folder).iterdir() if path.is_file()]
    repository.commit({path.relative_to(ROOT).as_posix(): path.read_text() for path in files})
    found = serve(repository, top / "state")
    yield found
    found.controller.stop()


def test_the_examples_with_curl_work(served: Served, tmp_path: Path) -> None:
    blocks = code_blocks(PAGE, "sh")
    assert len(blocks) >= 5
    script = "set -eu\n" + "\necho\n".join(blocks)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "controller").symlink_to(served.state)
    # Each answer on lines of its own, to separate it from the next.
    script = script.replace("curl -s", "curl -w '\\n' -s")
    done = subprocess.run(
        ["bash", "-c", script],
        env={"URL": served.url, "TOKEN": served.token, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    refused = [answer for answer in answers if "detail" in answer]
    assert [answer["errors"][0]["path"] for answer in refused] == [["nums"]]
    assert len(answers) == len(re.findall("curl", "".join(blocks))) - 2
    assert "event: end" in done.stdout


def test_the_examples_in_python_work(
    served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "controller").symlink_to(served.state)
    monkeypatch.chdir(tmp_path)
    [block] = code_blocks(PAGE, "python")
    exec(compile(block, "docs/api.md", "exec"), {})
    assert capsys.readouterr().out.startswith("succeeded 11\n")


def test_the_page_lists_exactly_the_existing_routes() -> None:
    named = {path.partition("?")[0] for path in re.findall(r"^\| `(/[^`]+)`", PAGE, re.MULTILINE)}
    there = {getattr(route, "path", "").replace("{run_id}", "{id}") for router in API for route in router.routes}
    assert str(make_routes(None, None).openapi_url) in PAGE
    assert named == there


def test_the_page_lists_every_client_method() -> None:
    methods = {name for name in dir(Client) if not name.startswith("_")} - {"of_state"}
    assert {name for name in methods if f"`{name}`" not in PAGE} == set()
