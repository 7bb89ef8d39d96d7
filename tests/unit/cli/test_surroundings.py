"""Locales that cannot express a character, streams that are closed or full, directories that are gone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command_server import CommandServer
from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command, controller_process

FILES = {
    "flows/f.py": 'def f(x: str) -> str:\n    """ż"""\n    return x\n',
    "deployments/żółw.yaml": "name: uni\nflow: flows/f.py:f\ntags: [żółw, 中]\nparameters: {x: 'ó ż'}\n",
    "deployments/zły.yaml": "name: żle\ncommand: 5\n",
}
ASCII_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENCODINGS: list[tuple[dict[str, str], str, str]] = [
    (ASCII_LOCALE, "ascii", r"z\u0142y.yaml"),
    ({"PYTHONIOENCODING": "ascii"}, "ascii", r"z\u0142y.yaml"),
    ({"PYTHONIOENCODING": "latin-1"}, "latin-1", r"z\u0142y.yaml"),
    ({"PYTHONIOENCODING": "utf-8"}, "utf-8", "zły.yaml"),
]


@pytest.fixture
def here(repository: GitRepository) -> Path:
    repository.commit(FILES)
    return repository.path


@pytest.mark.parametrize(("env", "encoding", "shown"), ENCODINGS)
def test_characters_missing_from_the_encoding_are_escaped(
    here: Path, env: dict[str, str], encoding: str, shown: str
) -> None:
    answer = controller_process("validate", "deployments/zły.yaml", cwd=here, env=env)
    assert shown in answer.stdout.decode(encoding)
    assert answer.returncode == 1
    assert b"internal error" not in answer.stderr


@pytest.mark.parametrize("env", [env for env, _, _ in ENCODINGS])
def test_json_output_is_valid_in_every_encoding(here: Path, commands: CommandServer, env: dict[str, str]) -> None:
    run = controller_process if env is ASCII_LOCALE else commands.run
    environment = {"PATH": os.defpath, "HOME": str(here), **env}
    answer = run("validate", "-o", "json", cwd=here, env=environment)
    assert "deployments/zły.yaml" in {finding["file"] for finding in json.loads(answer.stdout)["findings"]}
    log = run("run", "--once", "--log-format", "json", cwd=here, env=environment)
    assert [json.loads(line)["level"] for line in log.stdout.splitlines()]


def test_file_names_are_utf8_in_any_locale(here: Path) -> None:
    answer = controller_process("execute", "uni", "-o", "json", cwd=here, env=ASCII_LOCALE)
    assert json.loads(answer.stdout)["result"] == "ó ż"
    answer = controller_process("validate", "deployments/żółw.yaml", cwd=here, env=ASCII_LOCALE)
    assert answer.returncode == 0


def test_an_argument_that_is_not_utf8_is_rejected_with_a_message(here: Path) -> None:
    answer = controller_process("validate", os.fsdecode(b"caf\xe9.yaml"), cwd=here)
    assert answer.returncode == 2
    assert b"is not UTF-8" in answer.stderr


def test_a_directory_name_that_is_not_utf8_is_rejected_with_a_message(commands: CommandServer, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    answer = commands.run("run", "--once", "--working-tree", cwd=odd, env={"PATH": os.defpath})
    assert answer.returncode == 2
    assert rb"caf\xe9 is not UTF-8" in answer.stderr


def test_a_full_disk_behind_standard_output_is_reported(here: Path) -> None:
    answer = _shell(here, '"$0" schema >/dev/full')
    assert answer.returncode == 2
    assert answer.stderr == b"error: Cannot write to standard output: No space left on device.\n"


def test_a_reader_that_has_closed_standard_output_is_no_finding(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = str(Path(sys.executable).parent / "controller")
    for arguments in (["schema"], ["trigger", "--help"], ["validate", "--help-all"], ["explain", "Applied"]):
        process = subprocess.run([program, *arguments], cwd=here, stdout=writing, stderr=subprocess.PIPE, check=False)
        assert (process.returncode, process.stderr) == (128 + signal.SIGPIPE, b"")
    os.close(writing)


def test_an_interrupt_while_the_program_is_imported_shows_no_traceback(here: Path) -> None:
    script = """
import sys
from controller.__main__ import main
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "controller.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["schema"]
main()
"""
    process = subprocess.run([sys.executable, "-c", script], cwd=here, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (128 + signal.SIGINT, b"")


def test_an_unwritable_standard_error_changes_nothing(here: Path) -> None:
    assert _shell(here, '"$0" validate nowhere.yaml 2>/dev/full').returncode == 2
    answer = _shell(here, '"$0" schema 2>&-')
    assert answer.returncode == 0
    assert json.loads(answer.stdout)["title"] == "Deployment"


def test_closed_standard_streams_are_not_reused_for_files(here: Path) -> None:
    assert _shell(here, '"$0" run --once <&- >&- 2>&-').returncode == 1
    answer = _shell(here, '"$0" status -o json <&-')
    assert json.loads(answer.stdout)["source"]["revision"].startswith("main@sha1:")


def test_a_deleted_current_directory_is_reported(here: Path, tmp_path: Path) -> None:
    answer = _shell(tmp_path, f'mkdir gone && cd gone && rmdir ../gone && "$0" validate; "$0" validate --repo {here}')
    assert b"error: controller validate failed: the current directory was deleted." in answer.stderr
    assert b"hint: Change to a directory that exists" in answer.stderr
    assert f"{here}/deployments/zły.yaml:2:10" in answer.stdout.decode()


def test_an_operating_system_error_names_the_command_and_the_path(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("CONTROLLER_REPO", "/" + "x" * 300)
    answer = command("status")
    assert answer.code == 2
    assert "internal error" not in answer.err
    assert "controller status failed: /xxx" in answer.err
    assert "File name too long" in answer.err


def test_without_a_home_directory_the_state_of_a_url_is_below_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    from controller.settings import locate

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", _nobody)
    assert locate("https://example.org/x.git", "deployments", None, None).state_dir.is_absolute()


def _nobody(uid: int) -> None:
    raise KeyError(uid)


def _shell(cwd: Path, script: str) -> Any:
    program = Path(sys.executable).parent / "controller"
    env = {"PATH": os.defpath, "HOME": str(cwd)}
    return subprocess.run(
        ["sh", "-c", script, str(program)], cwd=cwd, env=env, capture_output=True, check=False, timeout=60
    )
