"""The code beside a flow is written for the Python of its environment, 3.10 to 3.14; the controller needs 3.11."""

import ast
import builtins
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "controller"
SUPERVISOR = ROOT / "runs" / "executors" / "local" / "supervisor"
NODE = ROOT / "runs" / "executors" / "node"
FILES = sorted([ROOT / "__init__.py", *SUPERVISOR.glob("*.py"), *NODE.glob("*.py"), *(ROOT / "sdk").glob("*.py")])

# Added after Python 3.10, and removed until 3.14. Names that a file reads through `getattr` do not count.
NEWER = {
    "BaseExceptionGroup", "ExceptionGroup", "asyncio.Runner", "asyncio.TaskGroup", "asyncio.timeout",
    "asyncio.timeout_at", "asyncio.Barrier", "contextlib.chdir", "datetime.UTC", "enum.StrEnum", "enum.verify",
    "enum.member", "enum.nonmember", "hashlib.file_digest", "inspect.getmembers_static", "itertools.batched",
    "logging.getLevelNamesMapping", "math.cbrt", "math.exp2", "operator.call", "sys.exception", "sys.flags.safe_path",
    "sys.monitoring", "threading.setprofile_all_threads", "time.clock_nanosleep", "tomllib", "typing.LiteralString",
    "typing.Never", "typing.NotRequired", "typing.Required", "typing.Self", "typing.TypeVarTuple", "typing.Unpack",
    "typing.assert_never", "typing.assert_type", "typing.dataclass_transform", "typing.override",
    "typing.reveal_type", "warnings.deprecated", "copy.replace", "os.process_cpu_count",
    "annotationlib",
}  # fmt: skip
REMOVED = {
    "asynchat", "asyncore", "asyncio.get_child_watcher", "asyncio.set_child_watcher", "asyncio.set_event_loop_policy",
    "asyncio.get_event_loop_policy", "asyncio.get_event_loop", "ast.Num", "ast.Str", "cgi", "crypt", "distutils", "imp",
    "datetime.datetime.utcnow", "datetime.datetime.utcfromtimestamp", "importlib.abc.ResourceReader",
    "importlib.find_loader", "locale.getdefaultlocale", "logging.warn", "pipes", "pkgutil.find_loader",
    "pkgutil.ImpImporter", "smtpd", "spwd", "ssl.wrap_socket", "telnetlib", "threading.Thread.isDaemon", "uu",
}  # fmt: skip
ATTRIBUTES = {"add_note", "walk_up", "__notes__"}
SUBSCRIPTED = {"logging.StreamHandler", "logging.LoggerAdapter"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_that_runs_beside_a_flow_is_written_for_every_supported_version(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    assert problems(tree) == []


@pytest.mark.parametrize(
    "code",
    [
        "import tomllib",
        "from typing import Self",
        "import datetime\ndatetime.UTC",
        "import asyncio\nasync def f():\n    async with asyncio.timeout(1): ...",
        "isinstance(1, ExceptionGroup)",
        "import logging\nclass A(logging.StreamHandler[str]): ...",
        "error.add_note('x')",
        "import asyncio\nasyncio.get_event_loop()",
    ],
)
def test_what_is_not_in_every_version_is_reported(code: str) -> None:
    assert len(problems(ast.parse(code))) == 1


def test_syntax_of_newer_versions_is_refused() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("try: ...\nexcept* ValueError: ...", feature_version=(3, 10))


def test_no_module_beside_a_flow_hides_one_of_the_standard_library() -> None:
    """Python 3.10 has no `-P`, so that their folder is on the path until `flow_main` removes it."""
    assert {path.stem for path in SUPERVISOR.glob("*.py")} & (sys.stdlib_module_names - {"__init__"}) == set()


def problems(tree: ast.AST) -> list[str]:
    """Return the names in this code that not all supported versions have."""
    return [name for node in nodes(tree) for name in names(node) if is_foreign(name, node)]


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except what only type checkers read."""
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING":
        children: list[ast.AST] = [*tree.orelse]
    else:
        children = [*ast.iter_child_nodes(tree)]
        yield tree
    for child in children:
        yield from nodes(child)


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Subscript):
        return [f"{dotted(node.value)}[]"]
    if isinstance(node, ast.Name):
        return [node.id] if node.id in vars(builtins) else []  # any other name is that of a variable
    return [dotted(node)]


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def is_foreign(name: str, node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
        return True
    return name in NEWER | REMOVED or (name.endswith("[]") and name[:-2] in SUBSCRIPTED)
