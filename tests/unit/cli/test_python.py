"""Python environments on the command line: built, shown and pruned, without and beside a running controller."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_SECONDS, GitRepository, wait_until
from tests.package_index import CountedUv, PackageIndex, counted_uv, served_index
from tests.unit.cli.conftest import Answer, Command, Followed

pytestmark = pytest.mark.integration

FLOW = "from controller import flow\n@flow\ndef main():\n    import tiny\n    return tiny.__version__\n"
DAILY = "name: daily\nflow: flows/a.py:main\npython: {requirements: [tiny==1.0]}\n"
BROKEN = "name: broken\nflow: flows/a.py:main\npython: {requirements: [missing==1.0]}\n"
FILES = {
    "flows/a.py": FLOW,
    "deployments/daily.yaml": DAILY,
    "deployments/twin.yaml": DAILY.replace("daily", "twin"),
    "deployments/plain.yaml": "name: plain\nflow: flows/a.py:main\n",
}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with served_index() as index:
        index.add("tiny", "1.0")
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield index


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CountedUv:
    program = counted_uv(tmp_path)
    monkeypatch.setenv("CONTROLLER_UV", str(program.program))
    return program


@pytest.fixture
def controller(repository: GitRepository, command: Command, index: PackageIndex, uv: CountedUv) -> Command:
    """Return the command line for a repository with an index, without a running controller."""
    repository.commit(FILES)
    assert (index.requests, uv.calls) == ([], [])

    def call(*arguments: str) -> Answer:
        return command(*arguments, "--repo", str(repository.path))

    return call


def start(repository: GitRepository, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a command in a process of its own."""
    return subprocess.Popen([Path(sys.executable).parent / "controller", *arguments, "--repo", repository.path])


def test_an_environment_of_two_deployments_is_built_once(controller: Command, uv: CountedUv) -> None:
    first = controller("python", "build", "-o", "json")
    assert (first.code, first.err) == (0, "building deployments/daily.yaml for daily, twin\n")
    [row] = first.json
    assert (row["state"], row["packages"], row["deployments"]) == ("ready", {"tiny": "1.0"}, ["daily", "twin"])
    assert row["id"] == row["digest"]
    again = controller("python", "build", "twin")
    assert (again.code, again.err, uv.count("pip sync")) == (0, "", 1)


def test_a_failed_build_is_explained_and_the_others_are_built(controller: Command, repository: GitRepository) -> None:
    repository.commit({"deployments/broken.yaml": BROKEN})
    answer = controller("python", "build")
    assert answer.code == 1
    assert "failed: ResolveFailed: " in answer.err
    assert "$ uv pip compile" in answer.err
    rows = {row["state"]: row for row in controller("python", "list", "-o", "json").json}
    assert rows["ready"]["packages"] == {"tiny": "1.0"}
    failed = rows["failed"]
    assert (failed["digest"], failed["reason"], failed["attempts"]) == (None, "ResolveFailed", 1)
    shown = controller("python", "show", failed["id"][:8])
    assert "retried" in shown.out
    assert "End of the build's log:" in shown.out


def test_only_deployments_with_an_environment_of_their_own_are_built(
    controller: Command, repository: GitRepository, uv: CountedUv
) -> None:
    plain = controller("python", "build", "plain")
    assert (plain.code, plain.out) == (0, "")
    assert "plain runs with the Python of the controller" in plain.err
    assert controller("python", "build", "nope").code == 2
    repository.commit({"deployments/daily.yaml": DAILY.replace("tiny==", "tiny=")})
    invalid = controller("python", "build", "daily")
    assert (invalid.code, uv.calls) == (1, [])
    assert "invalid: deployments/daily.yaml:3" in invalid.err


def test_prune_removes_what_no_deployment_needs(controller: Command, repository: GitRepository) -> None:
    controller("python", "build")
    assert controller("python", "prune", "-o", "json").json == {"dry_run": False, "bytes": 0, "removed": []}
    repository.git("rm", "-q", "deployments/daily.yaml", "deployments/twin.yaml")
    repository.commit({})
    planned = controller("python", "prune", "--dry-run", "-o", "json").json
    [row] = planned["removed"]
    assert planned["bytes"] == row["size"] > 0
    assert len(controller("python", "list", "-o", "json").json) == 1
    removed = controller("python", "prune")
    assert "1 Python environment removed, " in removed.err
    assert controller("python", "list", "-o", "json").json == []


def test_execute_builds_the_environment_of_the_deployment_first(controller: Command, repository: GitRepository) -> None:
    files = {
        "src/acme/report.py": FLOW,
        "deployments/module.yaml": DAILY.replace("flows/a.py", "acme.report").replace("daily", "module")
        + "import_paths: [src]\n",
    }
    for path, text in files.items():
        (repository.path / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.path / path).write_text(text, encoding="utf-8")
    first = controller("execute", "daily")
    assert (first.code, first.out) == (0, '"1.0"\n')
    assert "building the Python environment: deployments/daily.yaml\n" in first.err
    module = controller("execute", "module")
    assert (module.code, module.out, module.err) == (0, '"1.0"\n', "")


def test_execute_says_why_an_environment_cannot_be_built(controller: Command, repository: GitRepository) -> None:
    (repository.path / "deployments/daily.yaml").write_text(BROKEN, encoding="utf-8")
    answer = controller("execute", "broken")
    assert answer.code == 2
    assert "can't be built: ResolveFailed: " in answer.err
    assert controller(*answer.err.split("`")[1].split()[1:]).code == 0


def test_prebuild_builds_before_the_start_and_reports_failures(
    controller: Command, repository: GitRepository, uv: CountedUv
) -> None:
    repository.commit({"deployments/broken.yaml": BROKEN})
    controller("run", "--once", "--prebuild", "--listen", "none")
    shown = controller("python", "show", "daily", "-o", "json").json
    assert (shown[0]["state"], shown[0]["deployments"]) == ("ready", ["daily", "twin"])
    assert controller("python", "show", "broken", "-o", "json").json[0]["state"] == "failed"
    assert uv.count("pip sync") == 1
    assert controller("python", "show", "plain").code == 2


def test_two_builds_at_once_build_an_environment_once(
    controller: Command, repository: GitRepository, uv: CountedUv
) -> None:
    assert controller("python", "list").code == 2
    processes = [start(repository, "python", "build") for _ in range(2)]
    assert [process.wait(PATIENCE_SECONDS) for process in processes] == [0, 0]
    assert uv.count("pip sync") == 1


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (("python", "build"), signal.SIGINT, 130),
        (("execute", "daily"), signal.SIGINT, 130),
        (("run", "--prebuild", "--listen", "none"), signal.SIGTERM, 0),
    ],
)
def test_an_interrupted_build_waits_to_be_built_again(
    controller: Command,
    repository: GitRepository,
    index: PackageIndex,
    arguments: tuple[str, ...],
    number: int,
    code: int,
) -> None:
    index.is_stalled = True
    process = start(repository, *arguments)
    assert index.stalled.wait(PATIENCE_SECONDS)
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == code
    [row] = controller("python", "list", "-o", "json").json
    assert (row["state"], row["message"]) == ("waiting", "Its build was interrupted.")


@pytest.mark.usefixtures("index")
def test_a_running_controller_uses_what_is_built_beside_it(followed: Followed) -> None:
    """The controller has no uv that works, so only the command can build."""
    followed.commit({"deployments/own.yaml": DAILY.replace("daily", "own"), "flows/a.py": FLOW})
    wait_until(lambda: followed("python", "show", "own", "-o", "json").json[0]["state"] == "failed")
    built = followed("python", "build", "own", "-o", "json")
    assert (built.code, [row["state"] for row in built.json]) == (0, ["ready"])
    assert followed("trigger", "own", "--wait", "-o", "json").json["result"] == "1.0"
    assert followed("python", "prune", "-o", "json").json["removed"] == []


def test_doctor_finds_uv_and_the_interpreters_that_deployments_name(
    controller: Command, repository: GitRepository
) -> None:
    missing = "name: {}\ncommand: ['true']\npython: {{{}}}\n"
    files = {
        "deployments/path.yaml": missing.format("path", "interpreter: /no/bin/python"),
        "deployments/version.yaml": missing.format("version", "version: '3.99'"),
    }
    controller("python", "build", "daily")
    checks = {check["name"]: check for check in controller("doctor", "-o", "json").json}
    assert checks["uv"]["message"].startswith("uv ")
    assert checks["interpreter"]["status"] == "ok"
    assert checks["python environments"]["status"] == "ok"
    repository.commit(files)
    answer = controller("doctor", "--allow-interpreter", "/no/*/python", "-o", "json")
    checks = {check["name"]: check for check in answer.json}
    assert answer.code == 1
    assert checks["interpreter /no/bin/python"]["message"].startswith("deployments/path.yaml: There is no working")
    assert checks["interpreter 3.99"]["message"].startswith("deployments/version.yaml: No Python 3.99 was found in")
    assert all(check["status"] != "error" for name, check in checks.items() if "interpreter " not in name)


RESOLVED = {
    "controller.yaml": "defaults:\n  python:\n    requirements: [missing==3]\n",
    "deployments/broken.yaml": BROKEN,
    "deployments/default.yaml": "name: default\ncommand: ['true']\n",
    "deployments/file.yaml": BROKEN.replace("broken", "file").replace("[missing==1.0]", "flows/all.txt"),
    "deployments/locked.yaml": BROKEN.replace("broken", "locked").replace("[missing==1.0]", "flows/locked.txt"),
    "flows/all.txt": "tiny==2.0\n",
    "flows/locked.txt": f"missing==9 --hash=sha256:{'0' * 64}\n",
}


def test_validate_resolves_only_on_request_and_only_what_is_not_locked(
    controller: Command, repository: GitRepository, uv: CountedUv
) -> None:
    repository.commit(RESOLVED)
    assert "RequirementsUnresolvable" not in controller("validate").out
    assert uv.calls == []
    answer = controller("validate", "--resolve", "-o", "json")
    errors = [one for one in answer.json["findings"] if one["code"] == "RequirementsUnresolvable"]
    assert (answer.code, uv.count("pip compile"), len(uv.calls)) == (1, 4, 4)
    assert {(one["deployment"], Path(one["file"]).name, one["line"], one["column"], one["path"]) for one in errors} == {
        ("broken", "broken.yaml", 3, 24, "$.python.requirements"),
        ("default", "controller.yaml", 3, 19, "$.defaults.python.requirements"),
        ("plain", "controller.yaml", 3, 19, "$.defaults.python.requirements"),
        ("file", "file.yaml", 3, 24, "$.python.requirements"),
    }
    assert any("flows/all.txt: " in one["message"] and "tiny==2.0" in one["message"] for one in errors)


def test_an_index_that_cannot_be_reached_does_not_make_requirements_invalid(
    controller: Command, index: PackageIndex
) -> None:
    index.status = 503
    answer = controller("validate", "--resolve", "-o", "json")
    codes = [(one["code"], one["severity"], one["deployment"]) for one in answer.json["findings"]]
    assert answer.code == 0
    assert codes == [("RequirementsNotChecked", "warning", "daily"), ("RequirementsNotChecked", "warning", "twin")]


def test_validate_without_resolve_starts_no_process(controller: Command, repository: GitRepository) -> None:
    assert controller("validate").code == 0
    script = (
        "import sys\n"
        "events = []\n"
        "starts = ('os.fork', 'os.posix_spawn', 'os.exec', 'os.system', 'subprocess.Popen', 'socket.connect')\n"
        "sys.addaudithook(lambda event, _: events.append(event) if event in starts else None)\n"
        "from controller.cli.main import run\n"
        f"code = run(['validate', '--repo', {str(repository.path)!r}])\n"
        "print(code, events)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 []"
