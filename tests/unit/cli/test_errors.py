"""Every failure gives one message, one exit code, no traceback, and no control characters for the terminal."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.command_server import CommandServer
from tests.conftest import GitRepository, new_repository, wait_until
from tests.unit.cli.conftest import FILES, OWN_CONTROLLER, Command, Followed, OnTerminal, StartCommand

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_an_unknown_command_suggests_the_nearest(command: Command) -> None:
    answer = command("staus")
    assert answer.code == 2
    assert "There is no command 'staus'. Did you mean 'status'?" in answer.err
    assert "Did you mean" not in command("xyzzy").err
    assert command("--nope").code == 2


BAD = [
    (["status", "--repo", "nowhere"], "there is no such directory"),
    (["status", "--repo", "ext::sh -c true"], "unsupported URL"),
    (["status", "--repo", "https://me:token@example.org/x.git"], "credentials"),
    (["validate", "--repo", "https://example.org/x.git"], "reads files on disk"),
    (["render", "--repo", "git@example.org:x.git"], "reads files on disk"),
    (["next", "some", "--repo", "file:///srv/x.git"], "reads files on disk"),
    (
        ["run", "--once", "--working-tree", "--repo", "file:///srv/x.git", "--state-dir", "state"],
        "--working-tree follows files on disk",
    ),
    (["status", "--path", "../.."], "outside the repository"),
    (["validate", "nowhere.yaml"], "There is no file or directory nowhere.yaml"),
    (["validate"], "There is no directory"),
    (["next"], "Give the name of a deployment, or exactly one"),
    (["next", "--cron", "* *"], "error:"),
    (["next", "--cron", "0 0 30 2 *"], "error:"),
    (["next", "--interval", "0s"], "error:"),
    (["next", "--at", "yesterday"], "error:"),
    (["next", "--cron", "* * * * *", "--timezone", "Mars/Olympus"], "Mars/Olympus"),
    (["next", "--cron", "* * * * *", "--interval", "5s"], "exactly one"),
    (["trigger", "x"], "No controller has ever run for"),
    (["trigger", "x", "--param", "novalue"], "has no value"),
    (["trigger", "x", "--params", "[1]"], "must be a JSON object"),
    (["trigger", "x", "--params", "{"], "is not JSON"),
    (["trigger", "x", "--params", '{"a": NaN}'], "NaN is not a JSON number"),
    (["trigger", "x", "--params", "[" * 50_000], "is not JSON"),
    (["runs", "show", "\udcff"], "is not UTF-8"),
    (["runs", "show", "abc"], "No controller has ever run for"),
    (["runs", "logs", "abc"], "No controller has ever run for"),
    (["runs", "list", "--since", "whenever"], "neither a date-time nor an age"),
    (["deployments", "show", "x"], "No controller has ever run for"),
    (["deployments"], "No controller has ever run for"),
    (["status"], "No controller has ever run for"),
    (["status", "--watch"], "No controller has ever run for"),
    (["runs"], "No controller has ever run for"),
    (["events"], "No controller has ever run for"),
    (["occurrences", "x"], "No controller has ever run for"),
    (["hold", "x", "--reason", "y"], "No controller has ever run for"),
    (["restore", "x"], "No controller has ever run for"),
    (["login"], "No controller has ever run for"),
    (["run", "--once", "--ref", "main"], "needs a git repository"),
    (["run", "--once", "--interval", "soon"], "error:"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_an_error_is_one_message(command: Command, arguments: list[str], words: str) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert words in answer.err
    assert "internal error" not in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["deployments", "list"],
        ["deployments", "show", "x"],
        ["runs", "list"],
        ["next", "x"],
        ["run", "--once"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("damage", ["garbage", "newer"])
def test_a_damaged_or_newer_state_is_reported(command: Command, arguments: list[str], damage: str) -> None:
    state = Path(".controller")
    state.mkdir()
    Path("deployments").mkdir()
    if damage == "newer":
        with closing(sqlite3.connect(state / "state.db")) as connection, connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    else:
        (state / "state.db").write_bytes(b"garbage " * 1000)
    answer = command(*arguments)
    assert "internal error" not in answer.err
    assert answer.code == 2
    assert "state" in answer.err


@pytest.mark.parametrize("arguments", [["status"], ["deployments", "list"], ["runs", "list"], ["run", "--once"]])
def test_a_state_that_was_just_created_is_not_an_error(command: Command, arguments: list[str]) -> None:
    Path("deployments").mkdir()
    Path(".controller").mkdir()
    Path(".controller", "controller.lock").touch()
    Path(".controller", "state.db.new").touch()
    assert command(*arguments).code == 0


@pytest.mark.parametrize("arguments", [["status"], ["deployments", "list"], ["runs", "list"], ["run", "--once"]])
def test_an_empty_database_is_not_treated_as_a_new_one(command: Command, arguments: list[str]) -> None:
    Path("deployments").mkdir()
    Path(".controller").mkdir()
    Path(".controller", "state.db").touch()
    answer = command(*arguments)
    assert answer.code == 2
    assert "has lost its history: state.db is empty" in answer.err
    [words] = re.findall("mv .*", answer.err)
    subprocess.run(["sh", "-c", words], check=True)
    assert command("run", "--once").code == 0


@OWN_CONTROLLER
def test_the_error_of_a_second_controller_names_the_first(followed: Followed) -> None:
    answer = followed("run", "--once")
    assert answer.code == 2
    assert f"pid {os.getpid()}" in answer.err


def test_unknown_names_suggest_the_nearest(followed: Followed) -> None:
    for arguments in (["trigger", "sumz"], ["deployments", "show", "sumz"], ["next", "sumz"]):
        answer = followed(*arguments)
        assert answer.code == 2
        assert "There is no deployment 'sumz'." in answer.err
        assert "Did you mean sums?" in answer.err


def test_a_repository_without_a_commit_fails_the_pass(repository: GitRepository, command: Command) -> None:
    answer = command("run", "--once", "--repo", str(repository.path))
    assert answer.code == 2
    assert "no commits yet" in answer.err


def test_run_once_exits_with_1_if_there_are_findings_and_else_with_0(
    repository: GitRepository, command: Command
) -> None:
    repository.commit(FILES)
    assert command("run", "--once", "--repo", str(repository.path)).code == 1
    repository.git("rm", "--quiet", "deployments/never.yaml")
    repository.commit()
    assert command("run", "--once", "--repo", str(repository.path)).code == 0


def test_a_closed_pipe_causes_no_traceback(
    repository: GitRepository, command: Command, start_command: StartCommand
) -> None:
    files = {f"deployments/d{number}.yaml": f"name: d{number}\ncommand: ['true']\n" for number in range(400)}
    repository.commit(files)
    assert command("run", "--once", "--repo", str(repository.path)).code == 0
    for arguments in ("status", "status -o json", "deployments list"):
        with start_command(*arguments.split(), "--repo", str(repository.path)) as started:
            assert started.out.readline()
            started.out.close()
            assert started.err.read() == ""
    for arguments in ("--help", "schema"):
        done = shell(f'"$0" {arguments} | head -1', repository.path)
        assert done.stdout.count(b"\n") == 1
        assert done.stderr == b""


def shell(script: str, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    program = Path(sys.executable).parent / "controller"
    return subprocess.run(
        ["sh", "-c", script, str(program)], cwd=cwd, env={"PATH": os.defpath}, capture_output=True, check=True
    )


def test_an_output_error_causes_no_traceback(command: Command, tmp_path: Path) -> None:
    assert command("version").code == 0
    done = shell('"$0" schema > /dev/full || true', tmp_path)
    assert b"Traceback" not in done.stderr


def begin_state(repository: GitRepository) -> None:
    """The files that exist while the first controller is starting."""
    (repository.path / ".git" / "controller").mkdir()
    (repository.path / ".git" / "controller" / "controller.lock").touch()


def test_closed_output_is_not_an_error(repository: GitRepository) -> None:
    begin_state(repository)
    done = shell('"$0" status >&-; echo $? >&2', repository.path)
    assert done.stderr == b"0\n"


def test_watch_without_a_terminal_prints_changes(repository: GitRepository, start_command: StartCommand) -> None:
    begin_state(repository)
    with start_command("status", "--watch", "-o", "json", "--repo", str(repository.path)) as watch:
        line = watch.out.readline()
    assert json.loads(line)["controller"]["running"] is False


EVIL = "\x1b]0;owned\x07\x1b[31m[bold red]x[/]\x9b2J"


@OWN_CONTROLLER
def test_control_characters_in_names_and_messages_are_escaped(followed: Followed) -> None:
    code = f"def f():\n    raise ValueError({EVIL!r})\ndef g():\n    return {EVIL!r}\n"
    document = f"name: NAME\nflow: flows/evil.py:FUNC\ndescription: {json.dumps(EVIL)}\ntags: ['[bold]x[/bold]']\n"
    followed.repository.commit(
        {
            "flows/evil.py": code,
            "deployments/raises.yaml": document.replace("NAME", "raises").replace("FUNC", "f"),
            "deployments/returns.yaml": document.replace("NAME", "returns").replace("FUNC", "g"),
            f"deployments/{EVIL.replace('/', '')}.yaml": "name: [broken\n",
        }
    )
    wait_until(lambda: followed("deployments", "show", "returns").code == 0)
    failed = followed("trigger", "raises", "--wait")
    returned = followed("trigger", "returns", "--wait")
    assert (failed.code, returned.code) == (1, 0)
    answers = [failed, returned]
    for arguments in (
        ["status"],
        ["deployments", "list"],
        ["deployments", "show", "raises"],
        ["runs", "list"],
        ["runs", "show", failed.out.split()[0]],
        ["validate"],
        ["next", EVIL],
        ["trigger", EVIL],
        ["runs", "show", EVIL],
    ):
        answers.append(followed(*arguments))
    assert [found.group() for answer in answers for found in CONTROL.finditer(answer.out + answer.err)] == []
    assert "[bold red]x[/]" in followed("deployments", "show", "raises").out
    assert "[bold]x[/bold]" in followed("deployments", "show", "raises").out


def test_an_invalid_document_is_reported_without_control_characters(command: Command) -> None:
    Path("deployments").mkdir()
    (Path("deployments") / "\x1b[31m.yaml").write_text("name: a\ncommand: 5\n", encoding="utf-8")
    answer = command("next", "a")
    assert answer.code == 2
    assert "a is not valid" in answer.err
    assert not CONTROL.search(answer.err)


def test_texts_that_are_not_unicode_are_not_an_error(followed: Followed) -> None:
    code = "def f(fail):\n    if fail:\n        raise ValueError('\\udcff')\n    return '\\udcff'\n"
    document = "name: odd\nflow: flows/odd.py:f\nparameters: {fail: false}\n"
    followed.commit({"flows/odd.py": code, "deployments/odd.yaml": document})
    for output in ("json", "text"):
        assert followed("trigger", "odd", "--wait", "-o", output).code == 0
        assert followed("trigger", "odd", "--wait", "--param", "fail=true", "-o", output).code == 1
        assert followed("runs", "list", "-o", output).code == 0
        assert followed("status", "-o", output).code == 0
    assert followed("runs", "list", "-o", "json").json[1]["result"] == "\udcff"


def colours(text: str) -> set[str]:
    """Return the colour codes in the output of a command."""
    assert "sums" in text
    codes = re.findall(r"\x1b\[([0-9;]*)m", text)
    return {part for code in codes for part in code.split(";") if re.fullmatch(r"3[0-7]|9[0-7]", part)}


def test_colours_are_for_terminals_only_and_can_be_disabled(followed: Followed, on_terminal: OnTerminal) -> None:
    terminal = {"TERM": "xterm-256color", "COLUMNS": "150"}
    assert colours(on_terminal(["status", *followed.place], terminal))
    assert colours(on_terminal(["status", *followed.place], terminal | {"NO_COLOR": "1"})) == set()
    assert "\x1b" not in followed("status").out


def test_the_repository_can_be_set_by_an_environment_variable(commands: CommandServer, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "r")
    repository.commit(FILES)
    done = commands.run("validate", "-o", "json", cwd=tmp_path, env={"CONTROLLER_REPO": str(repository.path)})
    assert done.returncode == 1
    assert json.loads(done.stdout)["files"] == 4
