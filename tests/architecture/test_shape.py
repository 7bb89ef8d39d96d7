"""The shape of the code: small files and functions, a docstring for every module, dependencies with upper bounds."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for path in (ROOT / "controller").rglob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in MODULES]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def test_the_modules_are_found() -> None:
    assert "controller/__init__.py" in NAMES
    assert len(NAMES) > 50


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_is_small_and_has_a_docstring(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= MAX_FILE_LINES or text.startswith("# Generated")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES]
    # A migration is one list of tables, made once and never read in between.
    assert long == [] or path.parent.name == "versions"


BESIDE = sorted((ROOT / "controller" / "runs" / "executors" / "local" / "supervisor").glob("*.py"))

ALONE = {"argument_fitting.py", "flow_call.py", "flow_exit.py", "flow_loader.py", "flow_logging.py", "flow_main.py"}


@pytest.mark.parametrize("path", BESIDE, ids=lambda path: path.name)
def test_the_supervisor_imports_only_itself_and_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in imported if not name.startswith("controller.runs.executors.local.supervisor")}
    assert {module.partition(".")[0] for module in foreign} <= sys.stdlib_module_names
    if path.name in ALONE:
        assert foreign == imported, "it is loaded as a file, alone"


NODE = sorted((ROOT / "controller" / "runs" / "executors" / "node").glob("*.py"))


@pytest.mark.parametrize("path", NODE, ids=lambda path: path.name)
def test_the_runner_imports_only_itself_the_supervisor_and_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = ("controller.runs.executors.local.supervisor", "controller.runs.executors.node")
    foreign = {name for name in imported if not name.startswith(own) and name != "controller"}
    assert {module.partition(".")[0] for module in foreign} <= sys.stdlib_module_names


def test_packages_above_the_supervisor_import_nothing() -> None:
    for package in (
        "controller",
        "controller/runs",
        "controller/runs/executors",
        "controller/runs/executors/local",
        "controller/runs/executors/node",
        "controller/runs/executors/local/supervisor",
    ):
        tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
        executed = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node))]
        imports = [node for part in executed for node in ast.walk(part)]
        assert not [node for node in imports if isinstance(node, ast.Import | ast.ImportFrom)]


FLOWS = sorted((ROOT / "controller" / "sdk").glob("*.py"))


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)
def test_the_sdk_imports_only_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in imported if not name.startswith("controller.sdk")}
    assert {module.partition(".")[0] for module in foreign} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", [path for path in BESIDE if path.name != "flow_call.py"], ids=lambda path: path.name)
def test_the_supervisor_imports_everything_before_ready(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


def test_every_dependency_except_the_time_zones_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    unbounded = [dependency for dependency in project["dependencies"] if "<" not in dependency]
    assert [re.split(r"[>=<]", dependency)[0] for dependency in unbounded] == ["tzdata"]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_pinned_by_hash_without_an_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    pins = [
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(pins) > 10
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_the_requirement_files_are_found() -> None:
    assert [path.name for path in REQUIREMENTS] == ["dev.txt", "ray.txt", "run.txt"]
