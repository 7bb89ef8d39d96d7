"""Python specs are executed once, in a separate process, and give the same documents and findings as YAML."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.errors import StoppingError
from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.snapshots import RENDERED
from controller.python_specs import RenderedSource, Renderer
from controller.sources.directory.source import DirectorySource
from tests.conftest import PATIENCE_SECONDS, GitRepository, wait_until

pytestmark = pytest.mark.integration

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
RENDERER = Renderer(environment={"PATH": "/usr/bin:/bin"}, timeout=PATIENCE_SECONDS)
IMPORTS = "from controller import CronSchedule, DeploymentSpec, IntervalSchedule, RRuleSchedule\n"
FLOW = (
    "from typing import List\nfrom controller import flow\n@flow\ndef calculator(nums: List[int]): return sum(nums)\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "flows/my_flow.py", FLOW)
    (tmp_path / "deployments").mkdir()
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def source_of(root: Path, renderer: Renderer = RENDERER) -> RenderedSource:
    return RenderedSource(DirectorySource(root, path="deployments"), renderer)


def read(source: RenderedSource, reader: ManifestReader | None = None) -> DesiredState:
    revision = source.observe()
    return (reader or ManifestReader()).read(source.read(revision).files, NOW, code=source.code(revision))


def declared(root: Path, text: str) -> DesiredState:
    write(root, "deployments/spec.py", IMPORTS + text)
    return read(source_of(root))


def test_a_spec_gives_the_same_deployments_as_yaml(root: Path) -> None:
    found = declared(
        root,
        "import datetime\nfrom pathlib import Path\n"
        "DeploymentSpec(name='one', flow_location='../flows/my_flow.py', flow_name='calculator',\n"
        "    parameters={'nums': (1, 2)}, tags=['a'],\n"
        "    schedule=IntervalSchedule(datetime.timedelta(hours=1), anchor_date=datetime.datetime(2026, 1, 1)))\n"
        "DeploymentSpec(name='two', flow='flows/my_flow.py:calculator', parameters={'nums': [1]},\n"
        "    retries={'limit': 2}, schedules=[RRuleSchedule('FREQ=DAILY'),\n"
        "    CronSchedule(cron='0 9 * * *', timezone='Europe/Berlin', day_or=False)],\n"
        "    calendars={'x': {'dates': [datetime.date(2026, 1, 1)]}})\n"
        "DeploymentSpec(name='three', command=['df', Path('/')],\n"
        "    schedule=CronSchedule('0 9 * * *', except_=['x']), calendars={'x': {'holidays': 'DE-BY'}})\n",
    )
    assert found.findings == ()
    documents = {name: one.document for name, one in found.deployments.items()}
    write(
        root,
        "deployments/spec.py",
        "name: one\nflow_location: ../flows/my_flow.py\nflow_name: calculator\nparameters: {nums: [1, 2]}\ntags: [a]\n"
        "schedule: {interval: 3600, anchor_date: '2026-01-01T00:00:00'}\n---\n"
        "name: two\nflow: flows/my_flow.py:calculator\nparameters: {nums: [1]}\nretries: {limit: 2}\nschedules:\n"
        "- {rrule: FREQ=DAILY}\n- {cron: 0 9 * * *, timezone: Europe/Berlin, day_or: false}\n"
        "calendars: {x: {dates: [2026-01-01]}}\n---\n"
        "name: three\ncommand: [df, /]\nschedule: {cron: 0 9 * * *, except: [x]}\ncalendars: {x: {holidays: DE-BY}}\n",
    )
    (root / "deployments/spec.py").rename(root / "deployments/spec.yaml")
    yaml = read(source_of(root)).deployments
    assert documents == {name: one.document for name, one in yaml.items()}
    digests = {name: one.spec_digest for name, one in found.deployments.items()}
    assert digests == {name: one.spec_digest for name, one in yaml.items()}


@pytest.mark.parametrize("imported", ["from flows.my_flow import calculator", "from my_flow import calculator"])
def test_a_flow_object_becomes_its_file_and_function(root: Path, imported: str) -> None:
    write(root, "deployments/my_flow.py", FLOW)
    found = declared(root, f"{imported}\nDeploymentSpec(flow=calculator, name='one', parameters={{'nums': [1]}})\n")
    assert found.findings == ()
    folder = "flows" if "flows." in imported else "deployments"
    assert str(found.deployments["one"].target) == f"{folder}/my_flow.py:calculator"


def test_findings_are_at_the_line_of_the_call(root: Path) -> None:
    found = declared(
        root,
        "\n\nDeploymentSpec(\n    name='one', flow='flows/my_flow.py:calculator',\n"
        "    parameters={'nums': '[1, 2, 3, 4]'},\n    schedul=1,\n)\n"
        "for name in ('two', '-three'):\n    DeploymentSpec(name=name, flow='flows/my_flow.py:calculator')\n",
    )
    found_at = [(one.code, one.line, one.column, one.file, one.path) for one in found.findings]
    assert found_at == [
        ("WrongParameterType", 6, 16, "deployments/spec.py", "$.parameters.nums"),
        ("UnknownKey", 7, 13, "deployments/spec.py", "$.schedul"),
        *[("MissingParameter", 10, 5, "deployments/spec.py", "$")] * 2,
        ("InvalidValue", 10, 25, "deployments/spec.py", "$.name"),
    ]
    assert found.deployments["two"].line == 10


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\nraise RuntimeError('no luck')\n", 3, "the file could not be executed: RuntimeError: no luck"),
        ("def f(:\n", 2, "the file could not be executed: SyntaxError: invalid syntax (spec.py, line 2)"),
        ("import no_such_thing\n", 2, "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("import os; os._exit(0)\n", 1, "the process ended without a result"),
        ("import os; os.kill(os.getpid(), 9)\n", 1, "the process ended with status -9"),
        ("import os; os.killpg(0, 9)\n", 1, "the process ended with status -9"),
        ("raise SystemExit(3)\n", 2, "SystemExit: 3"),
        ("DeploymentSpec(\n    name='a',\n    parameters={'x': {'y': object}})\n", 2, "parameters.x.y: type"),
        (
            "DeploymentSpec(name='a',\n    parameters={'x': [10**5000]})\n",
            2,
            "parameters.x[0]: the number can't be written as JSON: it has",
        ),
        (
            "DeploymentSpec(name='a', parameters={'x': '\\ud800'})\n",
            2,
            "x: '\\ud800' can't be written as JSON: it contains",
        ),
        ("DeploymentSpec(name='a', description='\\ud800')\n", 2, "description: '\\ud800' can't be written as JSON"),
        ("DeploymentSpec(name='a', parameters={'\\ud800': 1})\n", 2, "parameters: '\\ud800' can't be written as JSON"),
        ("x = []\nx.append(x)\nDeploymentSpec(name='a', tags=x)\n", 4, "a value contains itself, or is nested too"),
        ("DeploymentSpec(name='a', parameters={'x': 'x' * 2_000_000})\n", 1, "deployments exceed 1048576 bytes"),
    ],
)
def test_an_error_in_a_spec_is_reported_with_its_line(root: Path, text: str, line: int, words: str) -> None:
    found = declared(root, text)
    [finding] = found.findings
    assert (finding.code, finding.line) == ("PythonSpecFailed", line)
    assert words in finding.message
    assert found.broken_files == {"deployments/spec.py"}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("from prefect.deployments import DeploymentSpec\n", "write: from controller import DeploymentSpec"),
        ("import prefect\n", "write: from controller import DeploymentSpec"),
        ("DeploymentSpec(name='a', flow='f.py:m', flow_runner=object())\n", "remove it: runs are processes"),
        ("DeploymentSpec(name='a', flow='f.py:m', flow_runner='universal')\n", "remove it: runs are processes"),
    ],
)
def test_a_spec_written_for_prefect_gets_a_hint(root: Path, text: str, hint: str) -> None:
    hints = [finding.hint or "" for finding in declared(root, text).findings]
    assert any(found.startswith(hint) for found in hints)


def has_ended(pid: str) -> bool:
    """Return whether the process is a zombie or gone; it may be reaped between the open and the read (ESRCH)."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    "text", ["DeploymentSpec(name='a', command=['ls'])", "signal.pause()", "os.kill(os.getpid(), 9)"]
)
def test_processes_in_another_session_are_killed_with_the_spec(root: Path, text: str) -> None:
    write(
        root,
        "deployments/spec.py",
        f"{IMPORTS}import os, signal\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        open('pid.new', 'w').write(str(os.getpid()))\n"
        "        os.rename('pid.new', 'pid')\n"
        "        signal.pause()\n"
        "    os._exit(0)\n"
        f"while not os.path.exists('pid'): pass\n{text}\n",
    )
    read(source_of(root, replace(RENDERER, timeout=8)))
    assert has_ended((root / "pid").read_text(encoding="utf-8"))


def test_a_spec_ends_with_the_process_that_renders_it(root: Path) -> None:
    write(
        root,
        "deployments/spec.py",
        "import os, signal  # DeploymentSpec\n"
        "open('pid.new', 'w').write(str(os.getpid()))\nos.rename('pid.new', 'pid')\nsignal.pause()\n",
    )
    program = (
        "import pathlib, sys; from controller.python_specs import Renderer\n"
        "Renderer(environment={}).render(pathlib.Path(sys.argv[1]), 'deployments/spec.py')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(root)])
    wait_until((root / "pid").exists)
    process.kill()
    process.wait()
    pid = (root / "pid").read_text(encoding="utf-8")
    wait_until(lambda: has_ended(pid))


def test_a_spec_that_times_out_is_killed_with_its_children(root: Path) -> None:
    write(
        root,
        "deployments/spec.py",
        "import subprocess, sys, os  # DeploymentSpec\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open('pid', 'w').write(str(child.pid))\nchild.wait()\n",
    )
    found = read(source_of(root, replace(RENDERER, timeout=8)))
    [finding] = found.findings
    assert (finding.message, finding.line) == ("the file could not be executed: timed out after 8 seconds", 4)
    assert has_ended((root / "pid").read_text(encoding="utf-8"))


def test_a_spec_gets_a_clean_environment_and_the_modules_of_a_flow(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_GIT_PASSWORD", "secret")
    write(root, "deployments/json.py", "raise RuntimeError('shadowed')\n")
    text = (
        "import json, os, sys\nDeploymentSpec(name='a', command=[*sorted(os.environ), os.getcwd(), sys.stdin.read()])\n"
    )
    command = declared(root, text).deployments["a"].document["command"]
    assert command == ["LC_CTYPE", "PATH", str(root), ""] or command == ["PATH", str(root), ""]


def test_a_python_file_that_is_not_a_spec_is_not_executed(root: Path) -> None:
    write(root, "deployments/helper.py", "raise RuntimeError('executed')\n")
    (root / "deployments/link.py").symlink_to("helper.py")
    found = read(source_of(root))
    assert (found.findings, found.file_count) == ((), 0)


def test_a_spec_that_was_not_rendered_is_a_warning(root: Path) -> None:
    write(root, "deployments/spec.py", f"{IMPORTS}raise RuntimeError('executed')\n")
    source = DirectorySource(root, path="deployments")
    found = ManifestReader().read(source.read(source.observe()).files, NOW)
    assert [(one.code, one.severity.value, one.line) for one in found.findings] == [("PythonNotRendered", "warning", 1)]
    assert found.broken_files == {"deployments/spec.py"}


def test_a_spec_is_executed_again_only_when_a_file_it_depends_on_changes(root: Path) -> None:
    write(root, "common.py", "NUMBERS = [1]\n")
    text = (
        "import os, common\nopen('count', 'a').write('x')\n"
        "DeploymentSpec(name='a', flow='flows/my_flow.py:calculator', parameters={'nums': common.NUMBERS})\n"
    )
    write(root, "deployments/spec.py", IMPORTS + text)
    source, reader = source_of(root), ManifestReader()

    def numbers() -> Any:
        return read(source, reader).deployments["a"].parameters["nums"]

    assert [numbers(), numbers(), (root / "count").read_text()] == [[1], [1], "x"]
    write(root, "deployments/other.yaml", "name: b\ncommand: [ls]\n")
    assert [numbers(), (root / "count").read_text()] == [[1], "x"]
    write(root, "common.py", "NUMBERS = [1, 2]\n")
    assert [numbers(), (root / "count").read_text()] == [[1, 2], "xx"]


FAILURES = {
    "in the file": ("raise RuntimeError('no')", "NUMBERS = [1]"),
    "in a file that it imports": ("", "raise RuntimeError('no')"),
    "in what is no Python": ("", "def f(:"),
    "a file that can be missed": ("raise RuntimeError('no')", "raise ValueError('no')"),
    "it takes too long": ("signal.pause()", "NUMBERS = [1]"),
    "a file takes too long": ("", "import signal; signal.pause()"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_cached_until_a_file_it_depends_on_changes(root: Path, name: str) -> None:
    then, common = FAILURES[name]
    imported = "try: import common\nexcept ValueError: pass" if "missed" in name else "import common"
    counts = f"import os, signal\nopen('count', 'a').write('x')\n{imported}\n{then}\n"
    write(root, "common.py", f"{common}\n")
    write(root, "deployments/spec.py", IMPORTS + counts + "DeploymentSpec(name='a', command=['ls'])\n")
    source = source_of(root, replace(RENDERER, timeout=8 if "too long" in name else RENDERER.timeout))
    messages = [[one.message for one in read(source).findings] for _ in range(2)]
    assert messages[0] == messages[1] != []
    write(root, "other.py", "pass\n")
    read(source)
    assert (root / "count").read_text() == "x"
    write(root, "common.py", "NUMBERS = [2]\n")
    read(source)
    assert (root / "count").read_text() == "xx"


def test_a_killed_spec_is_executed_again_for_each_revision(root: Path) -> None:
    counts = "import os, signal\nopen('count', 'a').write('x')\n"
    write(root, "deployments/spec.py", f"{IMPORTS}{counts}os.kill(os.getpid(), 9)\n")
    source = source_of(root)
    assert read(source).findings == read(source).findings != ()
    assert (root / "count").read_text() == "x"
    write(root, "deployments/other.yaml", "name: b\ncommand: [ls]\n")
    read(source)
    assert (root / "count").read_text() == "xx"


def test_a_missing_module_is_tried_again_for_each_read(root: Path) -> None:
    counts = "open('count', 'a').write('x')\n"
    write(root, "deployments/spec.py", f"{IMPORTS}{counts}import no_such_thing\n")
    source = source_of(root)
    assert read(source).findings == read(source).findings != ()
    assert (root / "count").read_text() == "xx"


def test_a_commit_is_rendered_from_its_own_files(repository: GitRepository, tmp_path: Path) -> None:
    from controller.sources.git import GitSource

    spec = f"{IMPORTS}import common\nDeploymentSpec(name='a', command=['echo', common.WORD])\n"
    repository.commit({"deployments/spec.py": spec, "common.py": "WORD = 'old'\n"})
    git = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    source = RenderedSource(git, RENDERER)
    old = source.observe()
    source.read(old)
    repository.commit({"common.py": "WORD = 'new'\n"})
    assert read(source).deployments["a"].document["command"] == ["echo", "new"]
    before = json.loads(source.read_file(old, "deployments/spec.py").removeprefix(RENDERED))
    assert before["documents"][0]["value"]["command"] == ["echo", "old"]
    assert source.read_file(old, "common.py") == b"WORD = 'old'\n"


def test_interrupt_does_not_wait_for_a_spec(root: Path) -> None:
    pid = root / "pid"
    spec = IMPORTS + f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    write(root, "deployments/spec.py", spec)
    source = source_of(root, replace(RENDERER, timeout=300))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, source)
        wait_until(lambda: pid.exists() and pid.read_text(encoding="utf-8"))
        source.interrupt()
        assert isinstance(reading.exception(30), StoppingError)
    wait_until(lambda: not Path(f"/proc/{pid.read_text(encoding='utf-8')}").exists())
