"""`controller plan` of a commit that changes the packages of Python environments, without asking an index."""

from collections.abc import Callable

import pytest

from controller.cli.main import run
from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command

HASH = f"--hash=sha256:{'0' * 64}"
FLOW = "def main():\n    pass\n"
PROJECT = """
[project]
name = "etl"
version = "1"
dependencies = ["pandas"]
[dependency-groups]
dev = ["pytest"]
etl = ["duckdb"]
"""
LOCK = """
version = 1
[[package]]
name = "etl"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "pandas" }}]
dev-dependencies = {{ dev = [{{ name = "pytest" }}], etl = [{{ name = "duckdb" }}] }}
[package.metadata]
requires-dist = [{{ name = "pandas" }}]
[package.metadata.requires-dev]
dev = [{{ name = "pytest" }}]
etl = [{{ name = "duckdb" }}]
[[package]]
name = "pandas"
version = "{pandas}"
source = {{ registry = "x" }}
dependencies = [{{ name = "numpy" }}]
[[package]]
name = "numpy"
version = "2.0"
source = {{ registry = "x" }}
[[package]]
name = "duckdb"
version = "{duckdb}"
source = {{ registry = "x" }}
[[package]]
name = "pytest"
version = "{pytest}"
source = {{ registry = "x" }}
"""
PYLOCK = 'lock-version = "1.0"\n[[packages]]\nname = "pandas"\nversion = "{pandas}"\n'

Plan = Callable[..., tuple[int, str]]


@pytest.fixture
def plan(command: Command, repository: GitRepository) -> Plan:
    def call(*arguments: str) -> tuple[int, str]:
        answer = command("plan", "--repo", str(repository.path), *(arguments or ("--base", "HEAD~1")))
        assert not answer.err
        return answer.code, answer.out

    return call


def deployment(name: str, python: str) -> str:
    return f"name: {name}\ncommand: ['true']\npython: {python}\n"


def test_versions_of_a_locked_file_are_compared(command: Command, repository: GitRepository, plan: Plan) -> None:
    documents = {
        f"deployments/{name}.yaml": deployment(name, "{requirements: requirements.txt}") for name in ("a", "b")
    }
    lock = f"numpy==2.0 {HASH}\npandas==3.0.1 {HASH}\nsix==1 {HASH}\n"
    repository.commit({**documents, "requirements.txt": lock})
    repository.commit({"requirements.txt": f"duckdb==1.2 {HASH}\nnumpy==2.0 {HASH}\nPandas==3.0.2 {HASH}\n"})
    code, text = plan()
    assert code == 1
    assert text.startswith(
        "~ packages of a, b: duckdb 1.2 added\n~ packages of a, b: pandas 3.0.1 → 3.0.2\n"
        "~ packages of a, b: six 1 removed\n\nPlan: 2 deployments' packages changed, 2 unchanged."
    )
    changes = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", "-o", "json").json["python"]
    assert [change["deployment"] for change in changes] == ["a", "b"]
    assert changes[0]["packages"][1:] == [
        {"package": "pandas", "before": "3.0.1", "after": "3.0.2"},
        {"package": "six", "before": "1", "after": None},
    ]
    assert "pandas 3.0.1 → 3.0.2" in plan("--base", "HEAD~1", "-o", "markdown")[1]
    repository.commit(
        {"requirements.txt": f"duckdb==1.2 {HASH}\n# a comment\nnumpy==2.0 {HASH}\npandas==3.0.2 {HASH}\n"}
    )
    assert plan()[0] == 0


def test_requirements_without_versions_are_compared_as_written(repository: GitRepository, plan: Plan) -> None:
    script = "# /// script\n# dependencies = [{}]\n# requires-python = '{}'\n# ///\n" + FLOW
    files = {"deployments/a.yaml": deployment("a", "{requirements: [pandas, 'duckdb>=1']}")}
    files["deployments/b.yaml"] = "name: b\nflow: b.py:main\n"
    repository.commit({**files, "b.py": script.format("'six>=1', 'attrs'", ">=3.11")})
    repository.commit(
        {
            "deployments/a.yaml": deployment("a", "{requirements: [pandas, 'duckdb>=1.2']}"),
            "b.py": script.format("'six==1'", ">=3.10"),
        }
    )
    lines = plan()[1].splitlines()
    assert "~ packages of a: duckdb >=1 → >=1.2" in lines
    assert [line for line in lines if "packages of b" in line] == [
        "~ packages of b: attrs any version removed",
        "~ packages of b: python >=3.11 → >=3.10",
        "~ packages of b: six >=1 → 1",
    ]


def test_the_packages_of_a_project_are_those_of_its_groups(repository: GitRepository, plan: Plan) -> None:
    files = {"deployments/a.yaml": deployment("a", "{project: ., groups: [etl]}"), "pyproject.toml": PROJECT}
    repository.commit({**files, "uv.lock": LOCK.format(pandas="3.0.1", duckdb="1.1", pytest="8")})
    repository.commit({"uv.lock": LOCK.format(pandas="3.0.2", duckdb="1.2", pytest="9")})
    assert plan()[1].splitlines()[:3] == [
        "~ packages of a: duckdb 1.1 → 1.2",
        "~ packages of a: pandas 3.0.1 → 3.0.2",
        "",
    ]
    repository.commit({"uv.lock": LOCK.format(pandas="3.0.2", duckdb="1.2", pytest="10")})
    assert plan()[0] == 0


def test_a_pylock_is_compared(repository: GitRepository, plan: Plan) -> None:
    files = {"deployments/a.yaml": deployment("a", "{project: etl}"), "etl/pyproject.toml": PROJECT}
    repository.commit({**files, "etl/pylock.toml": PYLOCK.format(pandas="3.0.1")})
    repository.commit({"etl/pylock.toml": PYLOCK.format(pandas="3.0.2")})
    assert plan()[1].splitlines()[0] == "~ packages of a: pandas 3.0.1 → 3.0.2"


def test_a_long_list_of_changes_is_cut(repository: GitRepository, plan: Plan) -> None:
    document = {"deployments/a.yaml": deployment("a", "{requirements: requirements.txt}")}
    repository.commit({**document, "requirements.txt": ""})
    repository.commit({"requirements.txt": "".join(f"p{number:02}==1\n" for number in range(30))})
    lines = [line for line in plan()[1].splitlines() if "packages of a" in line]
    assert (len(lines), lines[-1]) == (21, "~ packages of a: and 10 more")


def test_packages_are_compared_with_those_of_the_active_version(
    repository: GitRepository, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    files = {f"deployments/{name}.yaml": deployment(name, f"{{requirements: {name}.txt}}") for name in ("a", "b")}
    repository.commit({**files, "a.txt": f"pandas==3.0.1 {HASH}\n", "b.txt": f"six==1 {HASH}\n"})
    assert run(["run", "--once", "--repo", str(repository.path)]) == 0
    assert plan("--head", "HEAD")[0] == 0
    repository.commit({"a.txt": f"pandas==3.0.2 {HASH}\n"})
    code, text = plan("--head", "HEAD")
    assert (code, text.splitlines()[0]) == (1, "~ packages of a: pandas 3.0.1 → 3.0.2")
    assert "packages of b" not in text
