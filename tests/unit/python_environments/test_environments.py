"""From a request to an environment that flows can start in: with a real uv, and a real index on this machine."""

import subprocess
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from controller.model.python_environments import PythonState
from controller.python_environments import PythonEnvironments
from tests.conftest import wait_until
from tests.package_index import CountedUv, PackageIndex
from tests.unit.python_environments.conftest import requirements


def output_of(executable: str | None, code: str) -> str:
    assert executable is not None
    return subprocess.run([executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_request_is_locked_built_and_ready(environments: PythonEnvironments, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    index.add("acme", "2.0")
    request = requirements("acme<2")
    environment = environments.build(request)
    assert (environment.reason, environment.message) == ("Ready", "")
    assert environment.state is PythonState.READY
    assert environment.packages == {"acme": "1.0"}
    assert environment.lock is not None
    assert environment.lock.startswith("acme==1.0 --hash=sha256:")
    assert output_of(environment.executable, "import acme; print(acme.__version__)") == "1.0"
    runtime = environments.find_runtime(request, ("acme",))
    assert runtime is not None
    assert (runtime.executable, runtime.digest) == (environment.executable, environment.digest)
    assert runtime.preload == ("acme",)


def test_the_thread_builds_what_is_asked_for(environments: PythonEnvironments, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    changes: list[None] = []
    environments.on_change = lambda: changes.append(None)
    request = requirements("acme")
    environments.start()
    assert environments.ensure([request])[request.digest].state is PythonState.WAITING
    assert environments.find_runtime(request, ()) is None or changes
    wait_until(lambda: environments.find_runtime(request, ()) is not None)
    wait_until(lambda: changes)
    assert environments.ensure([request])[request.digest].state is PythonState.READY


def test_two_conflicting_pins_give_two_environments(environments: PythonEnvironments, index: PackageIndex) -> None:
    pins = [index.add("acme", "1.0"), index.add("acme", "2.0")]
    built = [environments.build(requirements(pin)) for pin in pins]
    versions = [output_of(environment.executable, "import acme; print(acme.__version__)") for environment in built]
    assert versions == ["1.0", "2.0"]


def test_a_file_with_hashes_is_the_lock(environments: PythonEnvironments, index: PackageIndex, uv: CountedUv) -> None:
    pin = index.add("acme", "1.0")
    environment = environments.build(requirements("# a comment", f"{pin}  # another"))
    assert environment.lock == f"{pin}\n"
    assert uv.count("pip compile") == 0


def test_deployments_with_one_lock_share_one_build(
    environments: PythonEnvironments, index: PackageIndex, uv: CountedUv
) -> None:
    pin = index.add("acme", "1.0")
    requests = [requirements(f"# file {number % 20}", pin) for number in range(200)]
    environments.start()
    environments.ensure(requests)
    wait_until(lambda: {one.state for one in environments.ensure(requests).values()} == {PythonState.READY})
    assert uv.count("venv") == uv.count("pip sync") == 1
    assert len({one.digest for one in environments.ensure(requests).values()}) == 1


def test_files_of_an_environment_are_read_only(
    environments: PythonEnvironments, index: PackageIndex, tmp_path: Path
) -> None:
    environment = environments.build(requirements(index.add("acme", "1.0")))
    directory = tmp_path / "python" / str(environment.digest)
    paths = [path for path in directory.rglob("*") if not path.is_symlink()]
    assert [path for path in paths if path.stat().st_mode & 0o222] == []
    assert [path for path in paths if not path.stat().st_mode & 0o004] == []
    assert list(directory.rglob("acme/__pycache__/*.pyc"))


def test_a_build_executes_no_code_of_packages(
    environments: PythonEnvironments, index: PackageIndex, tmp_path: Path
) -> None:
    executed = tmp_path / "executed"
    code = f"open({str(executed)!r}, 'w')\n"
    modules = {"start.pth": f"import os; {code}", "sitecustomize.py": code, "acme/broken.py": "def\n"}
    pin = index.add("acme", "1.0", modules=modules)
    environment = environments.build(requirements(pin))
    assert (environment.state, environment.message) == (PythonState.READY, "")
    assert environments.find_runtime(requirements(pin)) is not None
    assert not executed.exists()
    output_of(environment.executable, "")
    assert executed.exists()


def test_modules_are_compiled_for_the_interpreter_of_the_environment(
    environments: PythonEnvironments, index: PackageIndex
) -> None:
    environment = environments.build(requirements(index.add("acme", "1.0")))
    show = "import acme; print(acme.__cached__, acme.__file__)"
    cached, source = map(Path, output_of(environment.executable, show).split())
    header = cached.read_bytes()[:16]
    assert header[:8] == MAGIC_NUMBER + bytes(4)
    assert int.from_bytes(header[8:12], "little") == int(source.stat().st_mtime)
    assert int.from_bytes(header[12:16], "little") == source.stat().st_size


def test_a_package_with_the_name_of_the_sdk_is_logged(
    environments: PythonEnvironments, index: PackageIndex, caplog: pytest.LogCaptureFixture
) -> None:
    environments.build(requirements(index.add("acme", "1.0")))
    assert "name of the SDK" not in caplog.text
    environments.build(requirements(index.add("controller", "1.0")))
    assert caplog.text.count("name of the SDK") == 1
