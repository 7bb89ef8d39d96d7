"""Flows in a Python environment: cold and warm, with tasks, artifacts and a result, and with its own packages."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.model.python_environments import PythonRuntime
from controller.runs.execute import execute
from controller.runs.executors.local import python_servers
from controller.runs.executors.local.interpreter import install_sdk
from controller.runs.executors.local.users import find_user, grant_traversal
from tests.unit.runs.conftest import PATH
from tests.unit.runs.environments import Flows, deployment_of, make_environment
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration

STOPPED_BEFORE_FORK = """
import os, threading
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
def end():
    stop.set()
    thread.join()
os.register_at_fork(before=end)
"""
DAILY = """
from controller import flow, task

@task
def double(x: int) -> int:
    return 2 * x

@flow
def main(n: int = 1) -> int:
    return double(n)
"""
PACKAGES = {
    "acme_lib.py": "import os\nVERSION = '1'\nLOADED_IN = os.getpid()\n",
    "acme_flows/__init__.py": "",
    "acme_flows/daily.py": DAILY,
    "acme_broken.py": "raise ValueError('it does not work')\n",
    "acme_threads.py": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "acme_stopped.py": STOPPED_BEFORE_FORK,
}
REPORT = """
import os, sys
from controller import flow, markdown, task

@task
def load(day: str) -> list[int]:
    import acme_lib
    return [int(acme_lib.VERSION), len(day)]

@flow
def report(day: str, factor: float = 1.0) -> dict:
    markdown("# done", key="summary")
    print("the flow prints")
    return {"rows": load.map([day, day + "!"]).result(), "factor": factor, "executable": sys.executable}
"""
FACTS = """
import os, signal, sys

def facts():
    umask = os.umask(0)
    os.umask(umask)
    return {
        "argv": sys.argv, "orig_argv": sys.orig_argv, "flags": str(sys.flags), "path": sys.path, "cwd": os.getcwd(),
        "main": sorted(vars(sys.modules["__main__"])), "umask": umask, "prefix": sys.pycache_prefix,
        "environment": {name: os.environ[name] for name in os.environ if not name.startswith(("CONTROLLER", "TMP"))},
        "handlers": {n.name: str(signal.getsignal(n)) for n in signal.Signals if n < 32},
        "ours": [name for name in sys.modules if name.startswith("controller")],
        "threads": len(os.listdir("/proc/self/task")), "warnings": sys.warnoptions,
    }

def parent():
    with open(f"/proc/{os.getppid()}/cmdline") as supervisor, open("/proc/self/cmdline") as own:
        return [supervisor.read().rstrip("\\0-"), own.read()]

def loaded():
    return ["acme_lib" in sys.modules, os.getpid() == sys.modules["acme_lib"].LOADED_IN]
"""


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory, interpreter: str) -> PythonRuntime:
    return make_environment(tmp_path_factory.mktemp("environments") / "etl", interpreter, PACKAGES)


@pytest.fixture
def flows(tmp_path: Path) -> Iterator[Flows]:
    made = Flows(tmp_path / "code", tmp_path / "state")
    made.write("report.py", REPORT)
    made.write("facts.py", FACTS)
    yield made
    made.launcher.close()


@pytest.fixture(params=["warm", "cold"])
def start(request: pytest.FixtureRequest, flows: Flows, python: PythonRuntime) -> str:
    """How flows start: forked from the fork server of their environment, or in a new interpreter."""
    if request.param == "warm":
        server = flows.warm_up(python)
        assert server.problem is None
        assert server.is_ready
    else:
        flows.launcher = replace(flows.launcher, python_servers=None)
    return str(request.param)


def is_warm(flows: Flows, python: PythonRuntime, **more: Any) -> bool:
    ending = flows.run("facts.py:parent", python, **more)
    assert ending["outcome"] == "succeeded", ending
    return bool(ending["result"][1].startswith("controller flow"))


def test_a_flow_runs_with_tasks_artifacts_and_result(flows: Flows, python: PythonRuntime, start: str) -> None:
    assert is_warm(flows, python) is (start == "warm")
    ending = flows.run("report.py", python, {"day": "2026-01-01", "factor": 2})
    assert ending["outcome"] == "succeeded", ending
    assert ending["result"] == {"rows": [[1, 10], [1, 11]], "factor": 2.0, "executable": python.executable}
    events = [json.loads(line) for line in ending["events"].splitlines()]
    assert {event["task"]["name"] for event in events if "name" in event.get("task", {})} == {"report", "load"}
    assert any("artifact" in event for event in events)
    assert "the flow prints\n" in ending["log"]


def test_parameters_are_checked_against_the_hints(flows: Flows, python: PythonRuntime, start: str) -> None:
    ending = flows.run("report.py", python, {"day": "x", "factor": "many"})
    assert (start, ending["outcome"]) == (start, "failed")
    assert "parameter factor" in ending["error"]


def test_a_warm_flow_looks_like_a_cold_one(flows: Flows, python: PythonRuntime) -> None:
    cold = flows.run("facts.py:facts", python)["result"]
    flows.warm_up(python)
    assert is_warm(flows, python)
    assert flows.run("facts.py:facts", python)["result"] == cold
    assert cold["ours"] == []
    assert cold["path"][-1] == str(install_sdk(flows.state / "sdk"))
    assert str(flows.root) in cold["path"]
    assert cold["environment"]["PATH"] == f"{Path(python.executable).parent}:{flows.environment['PATH']}"


def test_the_first_run_does_not_wait_for_the_fork_server(flows: Flows, python: PythonRuntime) -> None:
    assert not is_warm(flows, python)
    server = flows.servers.find(python)
    assert server is not None
    assert server.pid is not None


@pytest.mark.parametrize(("name", "value"), [("PYTHONHASHSEED", "1"), ("OMP_NUM_THREADS", "1")])
def test_variables_that_preloaded_packages_have_read_give_a_new_interpreter(
    flows: Flows, python: PythonRuntime, name: str, value: str
) -> None:
    preloading = replace(python, preload=("acme_lib",))
    flows.warm_up(preloading)
    assert not is_warm(flows, preloading, env={name: value})
    assert is_warm(flows, preloading, env={"REGION": value})


def test_preloaded_modules_are_imported_once_before_the_fork(flows: Flows, python: PythonRuntime) -> None:
    preloading = replace(python, preload=("acme_lib",))
    assert flows.warm_up(preloading).problem is None
    assert flows.run("facts.py:loaded", preloading)["result"] == [True, False]


def test_a_preloaded_module_shares_the_sdk_with_the_flow(flows: Flows, python: PythonRuntime) -> None:
    code = (
        "from controller import flow\nfrom acme_flows.daily import double\n\n@flow\ndef main():\n    return double(4)\n"
    )
    flows.write("a.py", code)
    preloading = replace(python, preload=("acme_flows.daily",))
    assert flows.warm_up(preloading).problem is None
    ending = flows.run("a.py:main", preloading)
    assert (ending["outcome"], ending["result"]) == ("succeeded", 8), ending
    assert '"name": "double"' in ending["events"]


def test_a_module_that_ends_its_threads_before_a_fork_is_forked_from(flows: Flows, python: PythonRuntime) -> None:
    preloading = replace(python, preload=("acme_stopped",))
    assert flows.warm_up(preloading).problem is None
    assert is_warm(flows, preloading)


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("acme_threads", "acme_threads starts threads while it is imported"),
        ("acme_broken", "preloading acme_broken failed: ValueError: it does not work"),
        ("acme_missing", "preloading acme_missing failed: ModuleNotFoundError: No module named 'acme_missing'"),
    ],
)
def test_what_cannot_be_preloaded_makes_runs_start_cold_and_is_reported_once(
    flows: Flows, python: PythonRuntime, module: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    preloading = replace(python, preload=("acme_lib", module))
    assert flows.warm_up(preloading).problem == problem
    assert flows.servers.problem(python.digest) == problem
    assert [is_warm(flows, preloading) for _ in range(2)] == [False, False]
    records = [record for record in caplog.records if getattr(record, "problem", None) == problem]
    assert len(records) == 1


def test_what_a_library_in_c_has_not_written_yet_is_written(flows: Flows, python: PythonRuntime) -> None:
    flows.write("a.py", "import ctypes\ndef f():\n    ctypes.CDLL(None).printf(b'written by C')\n")
    preloading = replace(python, preload=("acme_lib",))
    flows.warm_up(preloading)
    assert is_warm(flows, preloading)
    assert flows.run("a.py:f", preloading)["log"] == "written by C"


LEAVES = {
    "open file": "STREAM = open('out', 'w')\nSTREAM.write('kept')\ndef f(): ...",
    "atexit": "import atexit\ndef f():\n    atexit.register(lambda: open('out', 'w').write('kept'))",
    "exit code": "import sys\ndef f():\n    open('out', 'w').write('kept')\n    sys.exit(0)",
}


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("preload", [(), ("acme_lib",)])
def test_what_a_flow_leaves_to_its_interpreter_is_done(
    flows: Flows, python: PythonRuntime, name: str, preload: tuple[str, ...]
) -> None:
    preloading = replace(python, preload=preload)
    flows.warm_up(preloading)
    flows.write("a.py", LEAVES[name] + "\n")
    assert flows.run("a.py:f", preloading)["exit_code"] == 0
    assert (flows.root / "out").read_text() == "kept"


CHILDREN = """
import multiprocessing, subprocess, sys
from controller import task

def inner():
    from controller.sdk import flow
    return flow.__file__

def spawned():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return [pool.apply(inner), inner()]

def subprocesses():
    code = "from controller.sdk import flow; print(flow.__file__)"
    return [subprocess.check_output([name, "-c", code], text=True).strip() for name in (sys.executable, "python")]
"""


@pytest.mark.parametrize("flow", ["spawned", "subprocesses"])
def test_processes_of_a_flow_find_the_sdk(flows: Flows, python: PythonRuntime, start: str, flow: str) -> None:
    flows.write("children.py", CHILDREN)
    ending = flows.run(f"children.py:{flow}", python)
    assert (start, ending["outcome"]) == (start, "succeeded"), ending
    sdk = install_sdk(flows.state / "sdk")
    assert ending["result"] == [f"{sdk}/controller/sdk/flow.py"] * 2


CHILD_IMPORTS = """
import os, subprocess, sys
def f():
    code = "import helpers; print(helpers.WHERE)"
    out = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True).stdout
    return [out.strip(), os.environ.get("PYTHONPATH")]
"""


def test_processes_of_a_flow_find_its_import_paths_and_then_the_sdk(
    flows: Flows, python: PythonRuntime, start: str
) -> None:
    flows.write("src/helpers.py", "WHERE = 'src'\n")
    flows.write("flows/a.py", CHILD_IMPORTS)
    ending = flows.run("flows/a.py:f", python, import_paths=("src", ""))
    expected = f"{flows.root}/src:{flows.root}:{install_sdk(flows.state / 'sdk')}"
    assert (start, ending["result"]) == (start, ["src", expected]), ending


@pytest.mark.parametrize(("import_paths", "result"), [(("src",), ["src", "src"]), ((), ["", None])])
def test_processes_of_a_flow_of_the_controller_s_interpreter_find_the_import_paths_that_it_declares(
    flows: Flows, import_paths: tuple[str, ...], result: list[str | None]
) -> None:
    flows.write("src/helpers.py", "WHERE = 'src'\n")
    flows.write("flows/a.py", CHILD_IMPORTS)
    where, path = flows.run("flows/a.py:f", None, import_paths=import_paths)["result"]
    assert [where, path and Path(path).name] == result


def test_a_flow_sees_nothing_else_of_the_controller(flows: Flows, python: PythonRuntime, start: str) -> None:
    flows.write("a.py", "import importlib.util\ndef f():\n    return importlib.util.find_spec('controller.store')\n")
    ending = flows.run("a.py:f", python)
    assert (start, ending["outcome"], ending["result"]) == (start, "succeeded", None)


@pytest.mark.parametrize("place", ["environment", "repository", "plain folder"])
def test_another_package_named_controller_precedes_ours(
    tmp_path: Path, flows: Flows, interpreter: str, place: str
) -> None:
    installed = {"controller/__init__.py": "WHOSE = 'environment'\n"} if place == "environment" else {}
    own = make_environment(tmp_path / "own", interpreter, installed)
    if place == "repository":
        flows.write("controller/__init__.py", "WHOSE = 'repository'\n")
    flows.write("controller/tools.py" if place == "plain folder" else "tools.py", "WHOSE = 'plain folder'\n")
    code = (
        "from controller.tools import WHOSE; from controller import flow"
        if place == "plain folder"
        else ("from controller import WHOSE")
    )
    flows.write("a.py", f"{code}\ndef f():\n    return WHOSE\n")
    assert flows.run("a.py:f", own)["result"] == place
    flows.warm_up(own)
    assert flows.run("a.py:f", own)["result"] == place


def test_import_paths_come_before_the_root_and_installed_packages(
    flows: Flows, python: PythonRuntime, start: str
) -> None:
    flows.write("src/acme_lib.py", "VERSION = 'src'\n")
    flows.write("src/helpers.py", "WHERE = 'src'\n")
    flows.write("helpers.py", "WHERE = 'root'\n")
    flows.write("flows/a.py", "import acme_lib, helpers\ndef f():\n    return [acme_lib.VERSION, helpers.WHERE]\n")
    ending = flows.run("flows/a.py:f", python, import_paths=("src",))
    assert (start, ending["result"]) == (start, ["src", "src"]), ending
    assert flows.run("flows/a.py:f", python)["result"] == ["1", "root"]


def test_import_paths_and_modules_work_in_the_interpreter_of_the_controller(flows: Flows) -> None:
    flows.write("src/acme/__init__.py", "")
    flows.write("src/acme/daily.py", "from .rows import ROWS\ndef f():\n    return [ROWS, __name__]\n")
    flows.write("src/acme/rows.py", "ROWS = 3\n")
    for flow in ("src/acme/daily.py:f", "acme.daily:f"):
        assert flows.run(flow, None, import_paths=("src",))["result"] == [3, "acme.daily"]


def test_a_command_gets_the_import_paths_and_the_programs_of_its_environment(
    flows: Flows, python: PythonRuntime
) -> None:
    flows.write("src/acme/prices.py", "BASE = 40\n")
    code = "import sys, acme_lib, acme.prices; print(acme_lib.VERSION, acme.prices.BASE, sys.executable)"
    ending = flows.run(["python", "-c", code], python, import_paths=("src", ""))
    assert (ending["outcome"], ending["log"]) == ("succeeded", f"1 40 {python.executable}\n"), ending


def test_a_flow_of_an_installed_module_runs(flows: Flows, python: PythonRuntime, start: str) -> None:
    ending = flows.run("acme_flows.daily:main", python, {"n": 2})
    assert (start, ending["outcome"], ending["result"]) == (start, "succeeded", 4), ending


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        ("acme_flows.nightly:main", "Module acme_flows.nightly was found neither in this revision nor in the Python"),
        ("acme_missing.daily:main", "Module acme_missing.daily was found neither in this revision nor in the Python"),
        ("acme_flows.daily:other", "acme_flows.daily has no flow 'other'; its functions: main."),
        ("exits:main", "exits called sys.exit(3) during import; no flow was called."),
        ("imports:main", "ModuleNotFoundError: No module named 'acme_missing'"),
    ],
)
def test_a_module_without_the_flow_is_named(flows: Flows, python: PythonRuntime, flow: str, error: str) -> None:
    flows.write("exits.py", "import sys\nsys.exit(3)\n")
    flows.write("imports.py", "import acme_missing\n")
    ending = flows.run(flow, python)
    assert ending["outcome"] == "failed"
    assert ending["error"].startswith(error)
    assert "importlib" not in ending["log"]


def test_bytecode_of_the_repository_is_kept_apart_and_that_of_packages_is_used(
    flows: Flows, python: PythonRuntime, start: str, tmp_path: Path
) -> None:
    flows.write("helpers.py", "X = 1\n")
    code = "import helpers, acme_lib, sys\ndef f():\n    return [acme_lib.__cached__, sys.pycache_prefix]\n"
    flows.write("a.py", code)
    pycache = tmp_path / "pycache"
    ending = flows.run("a.py:f", python, pycache=pycache)
    assert (start, ending["outcome"]) == (start, "succeeded"), ending
    cached, prefix = ending["result"]
    assert cached.startswith(str(Path(python.executable).parents[1]))
    assert prefix is None
    assert not (flows.root / "__pycache__").exists()
    stored = {path.name.partition(".")[0] for path in pycache.rglob("*.pyc") if str(flows.root) in str(path)}
    assert stored == {"a", "helpers"}
    assert not [path for path in pycache.rglob("*.pyc") if "site-packages" in str(path)]


def test_stored_bytecode_is_executed(flows: Flows, python: PythonRuntime, tmp_path: Path) -> None:
    flows.write("helpers.py", "X = 1\n")
    flows.write("a.py", "import helpers\ndef f():\n    return helpers.X\n")
    source = flows.root / "helpers.py"
    status = source.stat()
    assert flows.run("a.py:f", python, pycache=tmp_path / "pycache")["result"] == 1
    source.write_text("X = 2\n")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert flows.run("a.py:f", python, pycache=tmp_path / "pycache")["result"] == 1


def test_a_command_finds_the_programs_of_the_environment_first(flows: Flows, python: PythonRuntime) -> None:
    ending = flows.run(["python", "-c", "import acme_lib, sys; print(sys.executable, acme_lib.VERSION)"], python)
    assert ending["log"] == f"{python.executable} 1\n"


def test_a_fork_server_that_dies_takes_no_run_with_it(flows: Flows, python: PythonRuntime) -> None:
    server = flows.warm_up(python)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    assert not is_warm(flows, python)
    assert server.problem is None


def test_an_idle_fork_server_is_stopped(flows: Flows, python: PythonRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = flows.warm_up(python).pid
    assert pid is not None
    flows.launcher.stop_idle_servers()
    assert not is_gone(pid)
    monkeypatch.setattr(python_servers, "IDLE_SECONDS", 0.0)
    flows.launcher.stop_idle_servers()
    assert is_gone(pid)


def test_the_fork_server_that_was_used_least_recently_makes_room(
    flows: Flows, python: PythonRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_servers, "MAX_SERVERS", 2)
    runtimes = [replace(python, digest=str(number)) for number in range(3)]
    pids = [flows.warm_up(runtime).pid for runtime in runtimes[:2]]
    assert is_warm(flows, runtimes[0])
    pids.append(flows.warm_up(runtimes[2]).pid)
    assert [is_gone(pid) for pid in pids if pid is not None] == [False, True, False]


def test_execute_runs_the_flow_in_the_environment(flows: Flows, python: PythonRuntime) -> None:
    def run(flow: str, parameters: Mapping[str, Any]) -> Any:
        return execute(deployment_of(flow), parameters, flows.root, {"PATH": PATH}, SystemClock(), python=python)

    result = run("report.py:report", {"day": "x"})
    assert result.error is None
    assert result.result["executable"] == python.executable
    assert run("acme_flows.daily:main", {"n": 3}).result == 6


def test_without_an_environment_nothing_is_written_and_no_server_is_started(flows: Flows) -> None:
    assert flows.run("facts.py:facts", None)["result"]["path"] != []
    assert not (flows.state / "sdk").exists()
    assert flows.servers._servers == {}


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that another user can reach; those of pytest are closed."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can run flows as another user")
def test_with_a_user_for_flows_no_code_of_the_environment_runs_as_the_controller(
    open_path: Path, interpreter: str
) -> None:
    probe = open_path / "probe"
    probe.mkdir(mode=0o777)
    probe.chmod(0o777)
    leak = f"import os; os.close(os.open(f'{probe}/{{os.getuid()}}', os.O_CREAT, 0o666))\n"
    user = find_user("nobody")
    is_reachable = all(user.may_enter(folder) for folder in Path(interpreter).resolve().parents)
    reachable = interpreter if is_reachable else "/usr/bin/python3"
    python = make_environment(open_path / "etl", reachable, {"leak.pth": leak, "acme_lib.py": leak})
    flows = Flows(open_path / "code", open_path / "state", user)
    flows.write("a.py", "import os, acme_lib\nfrom controller import task\ndef f():\n    return os.getuid()\n")
    grant_traversal(user, flows.state, flows.state / "runs")
    for file in probe.iterdir():
        file.unlink()
    preloading = replace(python, preload=("acme_lib",))
    try:
        for _ in range(2):
            ending = flows.run("a.py:f", preloading)
            assert (ending["outcome"], ending["result"]) == ("succeeded", user.uid), ending
    finally:
        flows.launcher.close()
    assert [file.name for file in probe.iterdir()] == [str(user.uid)]
    assert flows.servers.find(preloading) is None


def test_copies_of_the_sdk_are_written_whole_and_once(tmp_path: Path) -> None:
    first = install_sdk(tmp_path / "sdk")
    assert install_sdk(tmp_path / "sdk") == first
    assert [path.name for path in (tmp_path / "sdk").iterdir()] == [first.name]
    assert sorted(path.name for path in first.rglob("*.py"))[:2] == ["__init__.py", "__init__.py"]
    assert {path.name for path in first.iterdir()} == {"controller"}
