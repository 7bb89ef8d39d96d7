"""The built wheel works in an environment of its own, without the source tree; so does the editable install."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import controller
from controller.manifests.schema_validation import deployment_schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = "deployment.v1.schema.json"

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Installed:
    """A clean environment with the wheel in it."""

    wheel: Path
    home: Path

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.home / "bin" / arguments[0]), *arguments[1:]],
            cwd=cwd,
            env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


def run(*arguments: str) -> None:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    top = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(top / "dist"), str(ROOT))
    [wheel] = (top / "dist").glob("flow_controller-*.whl")
    home = top / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    [packages] = home.glob("lib/python*/site-packages")
    # The dependencies come from here; a path from a .pth file brings no further .pth files, so not the source tree.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    return Installed(wheel, home)


def test_the_wheel_contains_only_code_schema_and_type_marker(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
    assert f"controller/schemas/{SCHEMA}" in names
    assert "controller/py.typed" in names
    assert "controller/store/migrations/versions/0001_the_first_schema.py" in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"controller"}
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_the_tests_run_the_installed_wheel(installed: Installed, tmp_path: Path) -> None:
    where = installed.run("python", "-c", "import controller; print(controller.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed.home)


def test_the_wheel_validates_the_examples(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("controller", "validate", str(ROOT / "deployments"), "-o", "json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert (done.returncode, found["valid"], found["findings"]) == (0, True, [])
    assert found["deployments"] >= 5


def test_the_wheel_reports_invalid_files(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nflow: a.py:f\ntimeout: never\n", encoding="utf-8")
    done = installed.run("controller", "validate", str(tmp_path / "bad.yaml"), cwd=tmp_path)
    assert done.returncode == 1
    assert "bad.yaml:3:" in done.stdout


def test_the_wheel_prints_the_schema_of_the_source_tree(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("controller", "schema", cwd=tmp_path)
    assert done.stdout == (ROOT / "schemas" / SCHEMA).read_text(encoding="utf-8")


def test_the_wheel_runs_a_pass_and_creates_the_state(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "a.yaml").write_text("name: a\ncommand: ['true']\n", encoding="utf-8")
    done = installed.run("controller", "run", "--once", "--repo", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = installed.run("controller", "status", "--repo", str(tmp_path), "-o", "json", cwd=tmp_path)
    assert [view["name"] for view in json.loads(shown.stdout)["deployments"]] == ["a"]


def test_the_editable_install_finds_the_schema() -> None:
    assert Path(controller.__file__).parent == ROOT / "controller"
    assert deployment_schema_text() == (ROOT / "schemas" / SCHEMA).read_text(encoding="utf-8")
