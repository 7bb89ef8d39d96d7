"""Where locks come from: projects, scripts and lists; and that a lock is made once."""

import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from controller.model.python_environments import PythonRequest, PythonState, RequirementsSource
from controller.python_environments import PythonEnvironments
from controller.python_environments.requirement_lines import read_lock
from tests.package_index import CountedUv, PackageIndex
from tests.unit.python_environments.conftest import requirements

HASH = f"--hash=sha256:{'1' * 64}"
PYPROJECT = """
[project]
name = "flows"
version = "1"
requires-python = ">=3.11"
dependencies = ["acme<2"]

[project.optional-dependencies]
fast = ["quick"]

[dependency-groups]
dev = ["linter"]
etl = ["duck"]
"""


@pytest.fixture(autouse=True)
def published(index: PackageIndex) -> None:
    for name, version in (("acme", "1.0"), ("acme", "2.0"), ("quick", "1"), ("linter", "1"), ("duck", "1")):
        index.add(name, version)


def project(files: dict[str, str], entry: str = "etl/pyproject.toml", **changes: tuple[str, ...]) -> PythonRequest:
    return PythonRequest(
        source=RequirementsSource.PROJECT,
        declared_at="etl",
        files=files,
        entry=entry,
        **changes,  # type: ignore[arg-type]
    )


def lock_with_uv(index: PackageIndex, directory: Path, *arguments: str) -> None:
    """Do what a developer does: lock the project in this directory."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "UV_DEFAULT_INDEX": index.url}
    variables["UV_CACHE_DIR"] = str(directory / "cache")
    subprocess.run([find_uv_bin(), *arguments], cwd=directory, env=variables, check=True, capture_output=True)


@pytest.fixture
def locked(index: PackageIndex, tmp_path: Path) -> Path:
    """A project with `uv.lock` and `pylock.toml`, as uv writes them."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    lock_with_uv(index, directory, "lock")
    options = ("--all-groups", "--all-extras", "--no-emit-project", "--frozen")
    lock_with_uv(index, directory, "export", *options, "--format", "pylock.toml", "-o", "pylock.toml")
    return directory


def files_of(directory: Path, *names: str) -> dict[str, str]:
    return {f"etl/{name}": (directory / name).read_text(encoding="utf-8") for name in names}


def test_a_project_with_uv_lock(environments: PythonEnvironments, locked: Path, uv: CountedUv) -> None:
    files = files_of(locked, "pyproject.toml", "uv.lock")
    assert environments.build(project(files)).packages == {"acme": "1.0"}
    selected = project(files, groups=("etl",), extras=("fast",))
    assert environments.build(selected).packages == {"acme": "1.0", "duck": "1", "quick": "1"}
    assert uv.count("pip compile") == 0


def test_a_member_of_a_workspace_has_the_lock_of_the_workspace(
    environments: PythonEnvironments, index: PackageIndex, tmp_path: Path
) -> None:
    root, member, other = tmp_path / "project", tmp_path / "project/packages/a", tmp_path / "project/packages/b"
    for directory, name, dependency in ((root, "root", "duck"), (member, "a", "acme"), (other, "b", "quick")):
        directory.mkdir(parents=True)
        text = (
            f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{dependency}"]\n'
        )
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as stream:
        stream.write('[tool.uv.workspace]\nmembers = ["packages/*"]\n')
    lock_with_uv(index, root, "lock")
    names = ("pyproject.toml", "uv.lock", "packages/a/pyproject.toml")
    files = {name: (root / name).read_text(encoding="utf-8") for name in names}
    request = project(files, "packages/a/pyproject.toml")
    assert environments.build(request).packages == {"acme": "2.0"}


def test_a_project_with_pylock_toml(environments: PythonEnvironments, locked: Path, uv: CountedUv) -> None:
    environment = environments.build(project(files_of(locked, "pyproject.toml", "pylock.toml"), "etl/pylock.toml"))
    assert environment.state is PythonState.READY
    assert environment.packages["acme"] == "1.0"
    assert {call.partition(" ")[0] for call in uv.calls} == {"venv", "pip"}
    assert uv.count("pip compile") == uv.count("export") == 0


def test_markers_of_a_pylock_select_packages(environments: PythonEnvironments, index: PackageIndex) -> None:
    digests = {page[0]["filename"].partition("-")[0]: page[0]["hashes"]["sha256"] for page in index.pages.values()}
    markers = {"acme": "python_version >= '3.10'", "duck": "'etl' in dependency_groups", "quick": "'fast' in extras"}
    markers["linter"] = "sys_platform == 'win32'"
    packages = "".join(
        f'[[packages]]\nname = "{name}"\nversion = "{"1.0" if name == "acme" else "1"}"\nmarker = "{marker}"\n'
        f'wheels = [{{ name = "x.whl", url = "http://127.0.0.1:9/", hashes = {{ sha256 = "{digests[name]}" }} }}]\n'
        for name, marker in markers.items()
    )
    files = {"pylock.toml": f'lock-version = "1.0"\ncreated-by = "tests"\n{packages}'}
    environment = environments.build(project(files, "pylock.toml", groups=("etl",)))
    assert (environment.message, dict(environment.packages)) == ("", {"acme": "1.0", "duck": "1"})


def test_a_project_without_a_lock_is_not_resolved(environments: PythonEnvironments, uv: CountedUv) -> None:
    environment = environments.build(project({"etl/pyproject.toml": PYPROJECT}))
    assert (environment.reason, uv.calls) == ("ResolveFailed", [])


def test_the_project_itself_in_a_pylock_is_not_installed(environments: PythonEnvironments, locked: Path) -> None:
    files = files_of(locked, "pyproject.toml", "pylock.toml")
    files["etl/pyproject.toml"] += '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
    folder = '[[packages]]\nname = "{}"\ndirectory = {{ path = "{}", editable = true }}\n'
    files["etl/pylock.toml"] += folder.format("Flows", ".") + folder.format("member", "packages/member")
    environment = environments.build(project(files))
    assert (environment.message, environment.packages["acme"]) == ("", "1.0")
    files["etl/pylock.toml"] += folder.format("other", "../other")
    environment = environments.build(project(files))
    assert environment.message.startswith("pylock.toml: other is a folder")


def test_a_name_in_a_pylock_cannot_add_a_line(environments: PythonEnvironments, uv: CountedUv) -> None:
    package = 'name = "acme @ file:///x.whl\\nacme"\nversion = "1"\nwheels = [{hashes = {sha256 = "%s"}}]'
    environment = environments.build(project({"pylock.toml": f"[[packages]]\n{package % ('1' * 64)}"}, "pylock.toml"))
    assert (environment.reason, uv.calls) == ("ResolveFailed", [])


def test_a_broken_pylock_is_a_reason(environments: PythonEnvironments) -> None:
    for text in ("packages = 1", "packages = [{}]", "{", '[[packages]]\nname = "acme"\nversion = "1"'):
        environment = environments.build(project({"pylock.toml": text}, "pylock.toml"))
        assert environment.reason == "ResolveFailed"
        assert environment.message.startswith("pylock.toml")


@pytest.mark.parametrize("source", [RequirementsSource.LIST, RequirementsSource.SCRIPT])
def test_a_list_and_a_script_are_resolved(environments: PythonEnvironments, source: RequirementsSource) -> None:
    files = {"requirements.txt": "acme<2\n"}
    request = PythonRequest(source=source, declared_at="a.yaml:3", files=files, entry="requirements.txt")
    assert environments.build(request).packages == {"acme": "1.0"}


def test_included_files_belong_to_the_request(environments: PythonEnvironments) -> None:
    files = {
        "a/b/all.txt": "-r ../base.txt\n-c limits.txt\nduck\n",
        "a/base.txt": "acme\n",
        "a/b/limits.txt": "acme<2\n",
    }
    request = PythonRequest(source=RequirementsSource.FILE, declared_at="a/b/all.txt", files=files, entry="a/b/all.txt")
    assert environments.build(request).packages == {"acme": "1.0", "duck": "1"}


def test_no_requirements_give_an_empty_environment(environments: PythonEnvironments) -> None:
    environment = environments.build(requirements())
    assert (environment.state, environment.packages) == (PythonState.READY, {})


def test_a_lock_is_made_once(environments: PythonEnvironments, index: PackageIndex, uv: CountedUv) -> None:
    request = requirements("acme<2")
    digest = environments.build(request).digest
    index.add("acme", "1.5")
    environment = environments.find(request.digest)
    assert environment is not None
    assert environment.lock is not None
    Path(str(environment.executable)).parent.rename(Path(str(environment.executable)).parent.with_name("gone"))
    assert environments.build(request).digest == digest
    assert uv.count("pip compile") == 1


@pytest.mark.parametrize(
    ("text", "is_lock"),
    [
        (f"acme==1.0 {HASH}\n", True),
        (f"acme[fast]==1.0 ; python_version >= '3' \\\n    {HASH} \\\n    {HASH}\n# via x\n", True),
        (f"acme @ https://example.org/acme-1.0-py3-none-any.whl {HASH}\n", True),
        ("", True),
        ("acme==1.0\n", False),
        (f"acme==1.0 --hash=md5:{'1' * 32}\n", False),
        (f"acme==1.0 --hash=sha256:{'1' * 32}\n", False),
        (f"acme==1.0 --hash=md5:{'1' * 32} {HASH}\n", True),
        (f"acme>=1.0 {HASH}\n", False),
        (f"acme==1.* {HASH}\n", False),
        (f"acme==1.0 {HASH}\nduck\n", False),
        ("https://example.org/acme-1.0-py3-none-any.whl\n", False),
    ],
)
def test_a_file_is_a_lock_if_everything_is_pinned_with_hashes(text: str, is_lock: bool) -> None:
    assert (read_lock({"r.txt": text}, "r.txt") is not None) is is_lock
