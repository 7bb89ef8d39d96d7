"""A controller that is killed in the middle of a build leaves no half environment, and the next one builds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.model.python_environments import PythonState
from tests.conftest import wait_until
from tests.package_index import CountedUv, PackageIndex
from tests.unit.python_environments.conftest import Make, processes_with, requirements

_BUILD = """
import sys
from pathlib import Path
from controller.clock import SystemClock
from controller.python_environments import PythonEnvironments
from controller.settings import UvSettings
from controller.store import Store
from tests.unit.python_environments.conftest import requirements

state, uv, index, pin = sys.argv[1:]
variables = {"PATH": "/usr/bin:/bin", "HOME": state, "UV_DEFAULT_INDEX": index}
settings = UvSettings(program=Path(uv), variables=variables)
store = Store.open(Path(state) / "state.db")
PythonEnvironments(store, SystemClock(), Path(state) / "python", settings).build(requirements(pin))
"""


@pytest.mark.integration
def test_a_killed_controller_leaves_no_half_environment(
    make: Make, index: PackageIndex, uv: CountedUv, tmp_path: Path
) -> None:
    pin = index.add("acme", "1.0")
    index.is_stalled = True
    arguments = [str(tmp_path), str(uv.program), index.url, pin]
    process = subprocess.Popen([sys.executable, "-c", _BUILD, *arguments], cwd=Path(__file__).parents[3])
    assert index.stalled.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not processes_with(f"HOME={tmp_path}\0"))
    half = [path for path in (tmp_path / "python").iterdir() if len(path.name) == 64]
    assert len(half) == 1
    assert not (half[0] / ".ready").exists()

    index.is_stalled = False
    index.release.set()
    request = requirements(pin)
    environments = make()
    assert environments.find_runtime(request) is None
    environments.start()
    assert environments.ensure([request])[request.digest].state is PythonState.WAITING
    wait_until(lambda: environments.find_runtime(request) is not None)
    assert (half[0] / ".ready").exists()


def test_a_leftover_is_removed_at_the_start(make: Make, tmp_path: Path) -> None:
    directory = tmp_path / "python"
    for name in ("a" * 64, f".removed-{'b' * 64}"):
        (directory / name / "lib").mkdir(parents=True)
        (directory / name / "lib").chmod(0o555)
    make().start()
    wait_until(lambda: not [path for path in directory.iterdir() if len(path.name) >= 64])


def test_an_environment_whose_files_are_gone_is_built_again(make: Make, index: PackageIndex, tmp_path: Path) -> None:
    request = requirements(index.add("acme", "1.0"))
    environments = make()
    digest = environments.build(request).digest
    (tmp_path / "python" / str(digest)).rename(tmp_path / "elsewhere")
    assert environments.find_runtime(request) is None
    assert environments.ensure([request])[request.digest].state is PythonState.WAITING
    assert environments.build(request).state is PythonState.READY
    assert environments.find_runtime(request) is not None


def test_an_environment_without_its_mark_is_built_again(make: Make, index: PackageIndex, tmp_path: Path) -> None:
    request = requirements(index.add("acme", "1.0"))
    environments = make()
    directory = tmp_path / "python" / str(environments.build(request).digest)
    directory.chmod(0o755)
    (directory / ".ready").unlink()
    assert environments.find_runtime(request) is None
    assert environments.ensure([request])[request.digest].state is PythonState.WAITING
    assert environments.build(request).state is PythonState.READY
    assert (directory / ".ready").is_file()
    assert environments.find_runtime(request) is not None


def test_requests_do_not_shorten_the_pause_after_an_error(
    make: Make, index: PackageIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = requirements(index.add("acme", "1.0"))
    (tmp_path / "python" / "left").mkdir(parents=True)
    (tmp_path / "python" / "lock").mkdir()
    environments = make()
    environments.start()
    wait_until(lambda: "can't be built" in caplog.text)
    for _ in range(1000):
        environments.ensure([request])
    environments.stop()
    assert caplog.text.count("can't be built") == 1
