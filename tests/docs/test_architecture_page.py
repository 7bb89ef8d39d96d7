"""docs/architecture.md and the decision records match the code."""

import re
import tomllib

from controller.runs.executors.local.launcher import Launcher
from controller.store.schema import metadata
from tests.docs.pages import DOCS, ROOT

PACKAGE = ROOT / "controller"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")


def test_the_page_lists_every_folder_and_file_of_the_package() -> None:
    folders = {f"controller/{path.parent.relative_to(PACKAGE).parts[0]}/" for path in PACKAGE.glob("*/**/*.py")}
    files = {f"controller/{path.name}" for path in PACKAGE.glob("*.py")} - {"controller/__init__.py"}
    assert {name for name in folders | files if f"`{name}`" not in PAGE} == set()


def test_every_listed_folder_exists() -> None:
    assert [name for name in re.findall(r"`(controller/[\w/.]+)`", PAGE) if not (ROOT / name).exists()] == []


def test_the_page_lists_exactly_the_threads_in_the_code() -> None:
    table = PAGE.partition("## Threads")[2].partition("\n## ")[0]
    of_flows = PACKAGE / "sdk"
    code = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if of_flows not in path.parents]
    started = {name for text in code for name in re.findall(r"Thread\(.*name=\"([\w ]+)\"", text)}
    started |= {name for text in code for name in re.findall(r"thread_name_prefix=\"([\w ]+)\"", text)}
    assert {"runs", "reconcile", "exports", "http"} < started
    assert {name for name in started if f"| `{name}` |" not in table} == set()
    starters = re.findall(r"\| `([\w.]+)` \|$", table, re.MULTILINE)
    assert [name for name in starters if not list(PACKAGE.glob(f"{name.replace('.', '/')}*"))] == []


def test_the_page_lists_every_file_of_the_state_directory() -> None:
    table = PAGE.partition("## The state directory")[2]
    named: set[str] = set()
    for file in ("store/state_directory.py", "store/condition_file.py", "api/http/credentials.py"):
        text = (PACKAGE / file).read_text(encoding="utf-8")
        named |= set(re.findall(r"(?:path|directory) / \"([\w.]+)\"", text))
        named |= set(re.findall(r"NOTICES = \"([\w.]+)\"", text))
    assert named >= {"state.db", "exports", "notices.json", "token"}
    assert {name for name in named if f"`{name}`" not in table and f"`{name}/`" not in table} == set()


def test_the_page_lists_every_database_table() -> None:
    assert [name for name in metadata.tables if f"`{name}`" not in PAGE] == []


def test_adr_0001_lists_the_enforced_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    page = (DOCS / "adr" / "0001-layers.md").read_text(encoding="utf-8")
    written = re.findall(r"^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0].splitlines()
    assert [re.split(r" {2,}", line)[0] for line in written] == contracts[0]["layers"]


def test_every_variable_that_a_flow_gets_is_documented() -> None:
    parts = ("local/launcher.py", "flow_specification.py", "local/supervisor/supervise.py")
    text = "".join((PACKAGE / "runs" / "executors" / name).read_text(encoding="utf-8") for name in parts)
    assert Launcher.__name__ in text
    page = (DOCS / "runs.md").read_text(encoding="utf-8")
    given = set(re.findall(r'"(CONTROLLER_[A-Z_]+|TMPDIR)"(?::|\] =)', text))
    assert given >= {"TMPDIR", "CONTROLLER_RUN_ID"}
    assert {name for name in given if f"`{name}`" not in page} == set()


def test_every_migration_is_in_the_changelog() -> None:
    steps = {path.name[:4] for path in (PACKAGE / "store" / "migrations" / "versions").glob("0*.py")}
    migrations = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("### Migrations")[2]
    assert {step for step in steps if f"`{step}`" not in migrations} == set()
