"""Which interpreter an environment gets, and interpreters that the operator allows."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from controller.model.python_environments import PythonRequest, PythonState, RequirementsSource
from controller.python_environments import PythonEnvironments
from controller.store import Store
from controller.store import python_environments as table
from tests.conftest import wait_until
from tests.package_index import CountedUv, PackageIndex, make_wheel
from tests.unit.python_environments.conftest import Make, requirements

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"


def interpreter(path: Path | str) -> PythonRequest:
    return PythonRequest(source=RequirementsSource.INTERPRETER, declared_at="a.yaml:3", interpreter=str(path))


def fake_interpreter(path: Path, version: str) -> Path:
    """Create a program that answers as an interpreter of this version does."""
    answer = f'{{"implementation": "cpython", "version": "{version}", "platform": "x", "markers": {{}}'
    path.write_text(f'#!/bin/sh\necho \'{answer}, "folders": [], "packages": {{}}}}\'\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", [None, OWN, f">={OWN}", f">=3.10,<{sys.version_info[0] + 1}", "3"])
def test_the_interpreter_of_the_controller_is_used_if_it_fits(
    environments: PythonEnvironments, uv: CountedUv, version: str | None
) -> None:
    environment = environments.build(requirements(version=version))
    assert environment.version == ".".join(map(str, sys.version_info[:3]))
    assert uv.count("python find") == 0


@pytest.mark.parametrize("version", ["3.99", ">=3.99", "no version"])
def test_a_version_that_the_machine_does_not_have(environments: PythonEnvironments, version: str) -> None:
    environment = environments.build(requirements(version=version))
    assert environment.reason == "InterpreterNotFound"
    assert version in environment.message


def test_a_version_that_is_not_in_the_path_may_be_elsewhere(environments: PythonEnvironments) -> None:
    environment = environments.build(requirements(version="3.99"))
    assert environment.message.startswith("No Python 3.99 was found in the PATH of the controller. Install it, ")
    assert "`interpreter`" in environment.message


def test_another_interpreter_of_the_machine_is_found_by_uv(make: Make, uv: CountedUv, tmp_path: Path) -> None:
    """The program stands for uv, which finds no old Python on a machine that has none."""
    old = fake_interpreter(tmp_path / "python3.9", "3.9.1")
    uv.program.write_text(f"#!/bin/sh\necho {old}\n", encoding="utf-8")
    environment = make().build(requirements(version="3.9"))
    assert environment.reason == "PythonTooOld"
    assert "3.9.1" in environment.message


@pytest.mark.parametrize("path", ["/opt/venvs/etl/bin/python", "/opt/venvs/a/../../bin/python", "bin/python"])
def test_an_interpreter_needs_the_word_of_the_operator(make: Make, path: str) -> None:
    environment = make(allow=("/srv/*/bin/python", "/opt/*/bin/python")).build(interpreter(path))
    assert environment.reason == "InterpreterNotAllowed"
    assert path in environment.message


def test_an_interpreter_that_does_not_exist(make: Make, tmp_path: Path) -> None:
    environment = make(allow=(f"{tmp_path}/*/bin/python",)).build(interpreter(tmp_path / "etl/bin/python"))
    assert environment.reason == "InterpreterNotFound"


def test_an_interpreter_that_is_too_old(make: Make, tmp_path: Path) -> None:
    old = fake_interpreter(tmp_path / "python3.9", "3.9.18")
    assert make(allow=(str(old),)).build(interpreter(old)).reason == "PythonTooOld"


def test_an_interpreter_is_used_as_it_is_and_its_upgrade_is_noticed(make: Make, uv: CountedUv, tmp_path: Path) -> None:
    venv.create(tmp_path / "etl", with_pip=False)
    path = tmp_path / "etl" / "bin" / "python"
    request = interpreter(path)
    environments = make(allow=(f"{tmp_path}/*/bin/python",))
    before = environments.build(request)
    assert (before.state, before.executable) == (PythonState.READY, str(path))
    assert uv.calls == []

    site = next((tmp_path / "etl").glob("lib/python*/site-packages"))
    wheel = tmp_path / "acme.zip"
    wheel.write_bytes(make_wheel("acme", "1.0", (), {}))
    shutil.unpack_archive(wheel, site)
    os.utime(site, ns=(1, 1))
    environments.start()
    assert environments.ensure([request])[request.digest].state is PythonState.READY
    wait_until(lambda: "acme" in environments.ensure([request])[request.digest].packages)
    assert environments.ensure([request])[request.digest].digest != before.digest


@pytest.mark.parametrize("sees_system", [False, True])
def test_an_interpreter_is_asked_without_code_of_its_packages(make: Make, tmp_path: Path, sees_system: bool) -> None:
    venv.create(tmp_path / "etl", with_pip=False, system_site_packages=sees_system)
    site = next((tmp_path / "etl").glob("lib/python*/site-packages"))
    executed = tmp_path / "executed"
    (site / "start.pth").write_text(f"import os; open({str(executed)!r}, 'w')\n", encoding="utf-8")
    (site / "sitecustomize.py").write_text(f"open({str(executed)!r}, 'w')\n", encoding="utf-8")
    (tmp_path / "wheel.zip").write_bytes(make_wheel("acme", "1.0", (), {}))
    shutil.unpack_archive(tmp_path / "wheel.zip", site)
    environment = make(allow=(f"{tmp_path}/*/bin/python",)).build(interpreter(tmp_path / "etl" / "bin" / "python"))
    assert not executed.exists()
    assert environment.packages["acme"] == "1.0"
    listed = {canonicalize_name(name) for name in _installed(Path(str(environment.executable)))}
    assert set(environment.packages) == listed


def _installed(executable: Path) -> list[str]:
    """Return what the interpreter itself finds, with all that it does when it starts."""
    code = "from importlib.metadata import distributions as d; print(*(one.metadata['Name'] for one in d()))"
    return subprocess.run([executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(("family", "builds"), [(None, 0), ("cpython 3.0 x", 1)])
def test_a_changed_interpreter_is_asked_again(
    make: Make, store: Store, index: PackageIndex, uv: CountedUv, family: str | None, builds: int
) -> None:
    index.add("acme", "1.0")
    request = requirements("acme")
    environments = make()
    before = environments.build(request)
    recorded = json.loads(str(before.interpreter))
    recorded = {"family": family or recorded["family"], "stamps": dict.fromkeys(recorded["stamps"], 1)}
    with store.write() as tx:
        table.change(tx, request.digest, interpreter=json.dumps(recorded))
    environments.start()
    assert environments.ensure([request])[request.digest].state is PythonState.READY
    wait_until(lambda: environments.ensure([request])[request.digest].interpreter == before.interpreter)
    after = environments.ensure([request])[request.digest]
    assert (after.state, after.digest) == (before.state, before.digest)
    assert uv.count("venv") == 1
    assert uv.count("pip compile") == 1 + builds


def test_an_environment_stays_ready_while_the_one_of_a_new_interpreter_fails(
    make: Make, store: Store, index: PackageIndex
) -> None:
    index.add("acme", "1.0")
    request = requirements("acme")
    environments = make()
    before = environments.build(request)
    index.status = 500
    with store.write() as tx:
        table.change(tx, request.digest, interpreter=json.dumps({"family": "cpython 3.0 x", "stamps": {"/": 1}}))
    environments.start()
    environments.ensure([request])
    wait_until(lambda: environments.ensure([request])[request.digest].retry_at is not None)
    environment = environments.ensure([request])[request.digest]
    assert (environment.state, environment.digest) == (PythonState.READY, before.digest)
    assert "500" in environment.message
    assert environments.find_runtime(request) is not None


def test_an_interpreter_that_is_no_longer_allowed_is_not_used(make: Make, tmp_path: Path) -> None:
    venv.create(tmp_path / "etl", with_pip=False)
    request = interpreter(tmp_path / "etl" / "bin" / "python")
    assert make(allow=(f"{tmp_path}/*/bin/python",)).build(request).state is PythonState.READY
    later = make()
    assert later.find_runtime(request) is None
    assert later.build(request).reason == "InterpreterNotAllowed"


def test_a_run_still_shows_the_environment_of_a_replaced_interpreter(
    make: Make, store: Store, index: PackageIndex
) -> None:
    request = requirements(index.add("acme", "1.0"))
    before = make().build(request)
    with store.write() as tx:
        table.change(tx, request.digest, digest="another")
    with store.read() as tx:
        recorded = table.find_by_digest(tx, str(before.digest))
        assert table.find_by_digest(tx, "unknown") is None
    assert recorded is not None
    assert (recorded.reason, recorded.version, recorded.packages) == ("Replaced", before.version, {"acme": "1.0"})
