"""A shell completes commands, options and names, quickly and without messages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from controller.cli.main import COMPLETION_VARIABLE, cli
from tests.unit.cli.conftest import OWN_CONTROLLER, Command, Followed

PROGRAMS = Path(sys.executable).parent


def completions(*words: str, incomplete: str = "") -> list[str]:
    """Return what a shell offers for the word after these."""
    shell = ShellComplete(cli, {}, "controller", COMPLETION_VARIABLE)
    return [item.value for item in shell.get_completions(list(words), incomplete)]


@OWN_CONTROLLER
def test_names_are_completed_from_the_state(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.repository.commit({"controller.yaml": "environments: {staging: {}, production: {}}\n"})
    run = followed("trigger", "sums", "--wait", "-o", "json").json["run_id"]
    backfill = followed("backfill", "sums", "--from", "2026-06-02", "--to", "2026-06-03", "-o", "json").json
    monkeypatch.chdir(followed.repository.path)
    names = ["asleep", "fails", "sums"]
    for command in ("trigger", "hold", "resume", "occurrences", "backfill", "next", "render", "execute"):
        assert completions(command) == names, command
    for group in (("deployments", "show"), ("deployment", "run"), ("runs", "list", "--deployment")):
        assert completions(*group) == names, group
    assert completions("runs", "cancel", "--deployment", incomplete="fa") == ["fails"]
    assert completions("events", "--for", incomplete="s") == ["sums", "source"]
    assert completions("runs", "list", "--tag") == ["math"]
    assert completions("validate", "--environment", incomplete="st") == ["staging"]
    assert completions("backfills", "show") == [backfill["backfill_id"][-12:]]
    assert run[-12:] in completions("runs", "logs")
    assert completions("runs", "show", incomplete=run) == [run]
    assert run[-12:] in completions("runs", "retry")
    assert run[-12:] not in completions("runs", "cancel")


def test_the_options_before_the_cursor_say_where_the_state_is(followed: Followed) -> None:
    root = str(followed.repository.path)
    assert {"asleep", "fails", "sums"} <= set(completions("trigger", "--repo", root))
    assert completions("trigger", "--state-dir", f"{root}/.git/controller", incomplete="asl") == ["asleep"]


def test_commands_subcommands_and_values_are_completed() -> None:
    assert completions(incomplete="back") == ["backfills", "backfill"]
    assert {"list", "show", "logs"} <= set(completions("runs"))
    assert completions("runs", "--state", incomplete="su") == ["succeeded"]
    assert "UnknownKey" in completions("explain", incomplete="Unk")


def test_nothing_is_said_where_nothing_can_be_completed(command: Command, tmp_path: Path) -> None:
    assert completions("trigger") == []
    damaged = tmp_path / "state"
    damaged.mkdir()
    (damaged / "state.db").write_text("no database")
    assert completions("trigger", "--state-dir", str(damaged)) == []
    assert completions("trigger", "--repo", "/nowhere/at/all") == []
    assert completions("runs", "show", "--repo", "ssh:///") == []
    assert completions("backfil", "x") is not None
    assert command("completion", "tcsh").code == 2


def test_a_completion_imports_neither_sqlalchemy_nor_the_api(followed: Followed) -> None:
    script = (
        "import atexit, json, sys; from controller.cli.main import run; "
        "atexit.register(lambda: sys.stderr.write(json.dumps([*sys.modules]))); run([])"
    )
    env = {"PATH": os.defpath, COMPLETION_VARIABLE: "bash_complete"}
    for words in ("controller deployments show ", "controller runs list --deployment ", "controller trigger "):
        env |= {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
        result = subprocess.run(
            [sys.executable, "-c", script], cwd=followed.repository.path, env=env, capture_output=True, check=True
        )
        assert {"plain,asleep", "plain,fails", "plain,sums"} <= set(result.stdout.decode().splitlines())
        modules = set(json.loads(result.stderr))
        assert not modules & {"sqlalchemy", "yaml", "rich", "apscheduler", "pydantic", "fastapi", "controller.api"}


def test_bash_completes_with_the_printed_script(followed: Followed) -> None:
    script = (
        "source <(controller completion bash); COMP_WORDS=(controller deployments show sum); COMP_CWORD=3; "
        '_controller_completion controller; echo "${COMPREPLY[@]}"'
    )
    env = {"PATH": f"{PROGRAMS}:{os.defpath}"}
    result = subprocess.run(
        ["bash", "-c", script], cwd=followed.repository.path, env=env, capture_output=True, check=True
    )
    assert result.stdout.decode() == "sums\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(command: Command, shell: str) -> None:
    answer = command("completion", shell)
    assert answer.code == 0
    assert f"{COMPLETION_VARIABLE}={shell}_complete" in answer.out
