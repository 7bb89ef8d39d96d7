"""Imports are lazy: `import controller` loads nothing else, and each command loads only the heavy packages it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "fastapi",
    "starlette",
    "uvicorn",
    "jinja2",
    "pydantic",
    "sqlalchemy",
    "alembic",
    "apscheduler",
    "git",
    "rich",
    "textual",
    "yaml",
    "jsonschema",
    "jsonschema_rs",
    "watchdog",
    "holidays",
    "icalendar",
    "dateutil",
}


def loaded_by(program: str, cwd: Path) -> set[str]:
    """The top-level modules that a fresh interpreter has after running `program`."""
    script = f"import sys\n{program}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_only_the_package(tmp_path: Path) -> None:
    extra = loaded_by("import controller", tmp_path) - loaded_by("pass", tmp_path)
    assert extra == {"controller"}


def test_the_sdk_loads_no_large_module(tmp_path: Path) -> None:
    loaded = loaded_by("from controller import flow, task, tags, get_run_context", tmp_path)
    loaded -= loaded_by("import typing, json, threading, contextlib", tmp_path)
    ours = {name for name in loaded if name.startswith("controller")}
    assert ours <= {name for name in loaded if name == "controller" or name.startswith("controller.sdk")}
    assert not loaded & {"asyncio", "logging", "inspect", "dataclasses", "concurrent.futures", "random", "datetime"}


def test_every_public_name_can_be_imported_and_unknown_names_cannot(tmp_path: Path) -> None:
    script = "import controller\nfor name in controller._PUBLIC:\n    assert getattr(controller, name)"
    script += "\n    assert name in dir(controller)"
    loaded_by(f"{script}\nassert not hasattr(controller, 'nothing')", tmp_path)


def test_importing_a_part_of_the_model_loads_no_other_package(tmp_path: Path) -> None:
    loaded = loaded_by("import controller.model.runs, controller.errors", tmp_path)
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


_OF_ERRORS = ("errors", "sdk", "sdk.messages", "sdk.run_states", "text")


def command(*arguments: str) -> str:
    return f"from controller.cli.main import run\ntry:\n    run({list(arguments)!r})\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["trigger", "--help"]])
def test_help_loads_no_heavy_package(arguments: list[str], tmp_path: Path) -> None:
    loaded = {name.partition(".")[0] for name in loaded_by(command(*arguments), tmp_path)}
    assert "click" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("words", ["controller ", "controller sta", "controller --"])
def test_completing_a_command_loads_no_command(words: str, tmp_path: Path) -> None:
    variables = {"_CONTROLLER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "1"}
    loaded = loaded_by(f"import os\nos.environ.update({variables!r})\n{command()}", tmp_path)
    assert "click.shell_completion" in loaded
    own = {name for name in loaded if name.startswith("controller.")}
    assert own == {f"controller.{name}" for name in ("cli", "cli.main", "cli.standard_streams", *_OF_ERRORS)}


def test_help_loads_the_options_but_no_settings(tmp_path: Path) -> None:
    loaded = loaded_by(command("--help"), tmp_path)
    assert "controller.cli.options" in loaded
    assert not loaded & {"controller.settings", "controller.remotes", "ipaddress", "urllib.parse", "dataclasses"}


@pytest.mark.parametrize("arguments", [["--help"], ["completion", "bash"]])
def test_a_command_that_is_not_forwarded_loads_no_sockets(arguments: list[str], tmp_path: Path) -> None:
    program = f"import controller.__main__\nsys.argv[1:] = {arguments!r}"
    program += "\ntry:\n    controller.__main__.main()\nexcept SystemExit:\n    pass"
    loaded = loaded_by(program, tmp_path)
    assert "controller.cli.forwarded_commands" in loaded
    assert not loaded & {"socket", "json", "controller.cli.command_client"}


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_validating_a_valid_file_loads_neither_database_nor_scheduler_nor_git(
    tmp_path: Path, options: list[str]
) -> None:
    good = tmp_path / "hello.yaml"
    good.write_text("name: hello\ncommand: ['true']\nschedules: [{cron: '0 9 * * *'}]\n", encoding="utf-8")
    loaded = {name.partition(".")[0] for name in loaded_by(command("validate", str(good), *options), tmp_path)}
    assert {"yaml", "jsonschema_rs"} <= loaded
    assert not loaded & (HEAVY - {"yaml", "jsonschema_rs"})


def test_validating_an_invalid_file_also_loads_the_schema_library(tmp_path: Path) -> None:
    bad = tmp_path / "hello.yaml"
    bad.write_text("name: 5\n", encoding="utf-8")
    loaded = {name.partition(".")[0] for name in loaded_by(command("validate", str(bad)), tmp_path)}
    assert "jsonschema" in loaded
    assert not loaded & (HEAVY - {"yaml", "jsonschema", "jsonschema_rs"})


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one deployment that was applied."""
    root = tmp_path_factory.mktemp("loading") / "r"
    for arguments in (["init", str(root)], ["run", "--once", "--repo", str(root)]):
        subprocess.run([sys.executable, "-m", "controller", *arguments], capture_output=True, check=True)
    return root


@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("version", set()),
        ("explain", set()),
        ("trigger hello", set()),
        ("hold hello --reason maintenance", set()),
        ("reconcile --wait", set()),
        ("login", set()),
        ("status -o json", {"sqlalchemy", "jsonschema_rs"}),
        ("deployments list -o json", {"sqlalchemy", "jsonschema_rs"}),
        ("next hello", {"sqlalchemy", "jsonschema_rs"}),
        ("runs list -o json", {"sqlalchemy"}),
        ("runs logs unknown", {"sqlalchemy"}),
        ("events", {"sqlalchemy", "rich"}),
        ("events -o json", {"sqlalchemy"}),
        ("runs list", {"sqlalchemy", "rich"}),
        ("render hello", {"yaml", "jsonschema_rs"}),
        ("plan --base HEAD", {"yaml", "git", "jsonschema_rs"}),
        ("plan", {"yaml", "git", "sqlalchemy", "jsonschema_rs"}),
    ],
)
def test_a_command_loads_only_the_heavy_packages_that_it_needs(line: str, heavy: set[str], applied: Path) -> None:
    loaded = {name.partition(".")[0] for name in loaded_by(command(*line.split()), applied)}
    assert loaded & HEAVY == heavy


@pytest.mark.parametrize(
    ("line", "packages"),
    [
        ("trigger hello", {"manifests", "flow_analysis", "queries.runs", "reconcile", "runs", "store.store"}),
        ("status -o json", {"flow_analysis", "manifests.reader", "sources", "reconcile", "runs", "client"}),
        ("runs list -o json", {"flow_analysis", "manifests", "sources", "reconcile", "runs", "client"}),
        ("plan --base HEAD", {"store", "queries.runs", "runs", "client", "scheduler"}),
        ("validate", {"store", "reconcile", "runs", "client", "scheduler"}),
    ],
)
def test_a_command_does_not_load_packages_of_other_commands(line: str, packages: set[str], applied: Path) -> None:
    loaded = loaded_by(command(*line.split()), applied)
    assert {name for name in packages if f"controller.{name}" in loaded} == set()


def test_the_parts_of_a_controller_load_nothing_that_only_requests_metrics_or_traces_need(tmp_path: Path) -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("import controller.app.controller", tmp_path)}
    assert "apscheduler" in loaded
    assert not loaded & {"prometheus_client", "opentelemetry", "requests", "fastapi", "apprise"}


_RUNNING = """
import socket
from pathlib import Path
from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.settings import Settings, locate
controller = Controller(Settings(location=locate(".", "deployments", None, None)), StopSignal())
controller.check()
controller.start()
assert controller._loop.request_pass().result(30).error is None
{then}
modules = list(sys.modules)
controller.stop()
for name in set(sys.modules).difference(modules):
    del sys.modules[name]
"""
_ASK = """
with socket.socket(socket.AF_UNIX) as client:
    client.connect(str(controller.state.socket))
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    assert b" 200 " in client.recv(20)
    while client.recv(65536):
        pass
"""
_OF_A_CONTROLLER = {
    *("apscheduler", "cronsim", "git", "gitdb", "smmap", "jsonschema_rs", "sqlalchemy", "tzlocal"),
    *("typing_extensions", "watchdog", "yaml", "controller"),
}
_OF_THE_API = {
    *(
        "fastapi",
        "starlette",
        "anyio",
        "opentelemetry",
        "annotated_doc",
        "pydantic",
        "pydantic_core",
        "annotated_types",
    ),
    *("typing_inspection", "uvicorn", "click", "h11", "jinja2", "markupsafe"),
}
_NOT_BEFORE_A_REQUEST = {
    "http.client",
    "controller.client.client",
    "controller.python_environments.builder",
    "controller.queries.deployments",
    "controller.queries.status",
    "controller.reconcile.state_comparison",
    "controller.schedules.foreign_crons",
    "controller.schedules.rrule.ruleset",
    "controller.sources.directory.source",
    "controller.store.table_creation",
    "sqlalchemy.dialects.postgresql",
}


@pytest.mark.parametrize(
    ("then", "packages", "own", "absent"),
    [
        pytest.param("", _OF_A_CONTROLLER, 445, _NOT_BEFORE_A_REQUEST, id="before-a-request"),
        pytest.param(
            _ASK,
            _OF_A_CONTROLLER | _OF_THE_API,
            580,
            {
                *("controller.client.client", "controller.schedules.foreign_crons", "pydantic.v1"),
                *("controller.python_environments.builder", "sqlalchemy.dialects.postgresql"),
            },
            id="after-a-page",
        ),
    ],
)
def test_a_running_controller_keeps_few_modules_in_memory(
    then: str, packages: set[str], own: int, absent: set[str], applied: Path
) -> None:
    """Each module stays in memory: if a change adds one, load it on first use, or raise the limit on purpose."""
    loaded = loaded_by(_RUNNING.replace("{then}", then), applied)
    installed = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"cython_runtime"}
    assert {name for name in installed if not name.startswith("_")} == packages
    assert loaded & absent == set()
    assert sum(name.startswith("controller.") for name in loaded) <= own


def test_the_dashboard_loads_the_reader_of_markdown_only_to_show_markdown(tmp_path: Path) -> None:
    program = "import controller.api.http.application"
    assert "markdown_it" not in loaded_by(program, tmp_path)
    program += "\nfrom controller.api.dashboard.artifact_views import markdown\nmarkdown('# a')"
    assert "markdown_it" in loaded_by(program, tmp_path)
