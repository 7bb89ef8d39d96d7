"""Secrets are read at launch and passed to the flow; a missing one prevents the start; no file or record has one."""

import json
import os
from pathlib import Path

import pytest

from controller.model.runs import RunState
from tests.unit.runs.conftest import Supervise, World, one_start
from tests.unit.runs.test_supervisor import sh

pytestmark = pytest.mark.integration

VALUE = "hunter2-très-secret"


def test_secrets_reach_the_flow_and_are_stored_nowhere(world: World, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(VALUE + "-file\n", encoding="utf-8")
    script = 'test "$A" = "$C-env" && test "$B" = "$C-file" && tr "\\\\0" "\\\\n" < /proc/$PPID/cmdline'
    world.declare(
        a=f"name: a\ncommand: [sh, -c, '{script}']\nenv: {{C: {VALUE}}}\n"
        f"secrets: {{A: {{env: FROM}}, B: {{file: {tmp_path}/token}}}}\n"
    )
    world.start(variables={"FROM": VALUE + "-env", "OTHER": "x"})
    run = world.run("a")
    assert run.state is RunState.SUCCEEDED, world.log(run)
    world.stop()
    for path in [path for path in world.state.parent.rglob("*") if path.is_file() and path.name != "token"]:
        content = path.read_bytes()
        assert (VALUE + "-").encode() not in content, path
        assert json.dumps(VALUE + "-")[1:-1].encode() not in content, path


def test_a_python_flow_gets_its_secrets_and_no_other_variables(world: World) -> None:
    world.write("a.py", "import os\ndef f():\n    return [os.environ['A'], os.environ.get('OTHER')]\n")
    world.declare(a="name: a\nflow: a.py:f\nsecrets: {A: {env: FROM}}\n")
    world.start(variables={"FROM": "v", "OTHER": "x"})
    assert world.run("a").result == ["v", None]


@one_start
def test_a_missing_secret_variable_fails_the_run_before_it_starts(world: World) -> None:
    world.declare(a=f"name: a\ncommand: [touch, '{world.state}/canary']\nsecrets: {{A: {{env: FROM}}}}\n")
    world.start(variables={})
    run = world.run("a")
    assert (run.state, run.reason) == (RunState.FAILED, "secret A: FROM is not set in the controller's environment")
    assert not (world.state / "canary").exists()


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Files that can't be a secret, by what is wrong."""
    found = {name: tmp_path / f"secret-{name}" for name in ("gone", "folder", "fifo", "large", "nul")}
    found["folder"].mkdir()
    os.mkfifo(found["fifo"])
    found["large"].write_bytes(b"x" * 65537)
    found["nul"].write_bytes(b"a\0b")
    return found


@one_start
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "can't be read: No such file or directory"),
        ("folder", "is not a regular file"),
        ("fifo", "is not a regular file"),
        ("large", "is larger than 64 KiB"),
        ("nul", "contains a NUL byte, which is not allowed in a variable"),
    ],
)
def test_an_unusable_secret_file_fails_the_run_before_it_starts(
    supervise: Supervise, places: dict[str, Path], name: str, words: str
) -> None:
    one = supervise(["touch", "canary"], secrets={"A": {"file": str(places[name])}})
    one.say(b"GO\n")
    assert one.end() == {"outcome": "failed", "reason": f"secret A: the file {places[name]} {words}"}
    assert not (one.directory / "started").exists()
    assert not (one.directory / "canary").exists()


@one_start
@pytest.mark.parametrize(
    ("content", "value"),
    [(b"a\n", "a"), (b"a\n\n", "a\n"), (b"a\r\n", "a"), (b"", ""), (b"\xff", "\udcff"), (b"x" * 65536, "x" * 65536)],
)
def test_one_newline_at_the_end_of_a_file_is_not_part_of_it(
    supervise: Supervise, tmp_path: Path, content: bytes, value: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    one = supervise(sh('printf "%s" "$A"'), secrets={"A": {"file": str(tmp_path / "token")}})
    one.say(b"GO\n")
    one.end()
    assert os.fsdecode((one.directory / "log").read_bytes()) == value


@pytest.mark.parametrize("word", [b'GO {"A": "v"', b'GO {"A": ', b"GO ", b"GO {"])
def test_incompletely_received_secrets_prevent_the_start(supervise: Supervise, word: bytes) -> None:
    one = supervise(["touch", "canary"], secrets={"A": {"env": "FROM"}})
    one.say(word)
    one.wait()
    assert not (one.directory / "started").exists()
    assert not (one.directory / "exit").exists()
    assert not (one.directory / "canary").exists()
