"""The real supervisor with small commands: what it records, what it kills, and what it leaves behind."""

import fcntl
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.unit.runs.conftest import NONCE, Supervise, Supervised, end_by_timeout

pytestmark = pytest.mark.integration


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ("exit 0", {"outcome": "succeeded", "exit_code": 0, "signal": None}),
        ("exit 3", {"outcome": "failed", "exit_code": 3, "signal": None}),
        ("kill -9 $$", {"outcome": "failed", "exit_code": None, "signal": 9}),
        ("kill -TERM $$", {"outcome": "failed", "exit_code": None, "signal": 15}),
        ("exec >&- 2>&- <&-; exit 4", {"outcome": "failed", "exit_code": 4, "signal": None}),
        ('test -z "$(cat)"', {"outcome": "succeeded", "exit_code": 0, "signal": None}),
    ],
)
def test_the_exit_file_records_how_a_command_ended(
    supervise: Supervise, script: str, ending: dict[str, object]
) -> None:
    one = supervise(sh(script))
    one.say(b"GO\n")
    assert one.end() == ending


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ("exit 99", {"outcome": "skipped", "exit_code": 99, "signal": None}),
        ("exit 98", {"outcome": "failed", "exit_code": 98, "signal": None}),
        ("exit 0", {"outcome": "succeeded", "exit_code": 0, "signal": None}),
        ("kill -9 $$", {"outcome": "failed", "exit_code": None, "signal": 9}),
    ],
)
def test_a_command_with_a_skip_exit_code_is_skipped_if_it_exits_with_it(
    supervise: Supervise, script: str, ending: dict[str, object]
) -> None:
    one = supervise(sh(script), skip_exit_code=99)
    one.say(b"GO\n")
    assert one.end() == ending


def test_a_timed_out_command_is_not_skipped(supervise: Supervise) -> None:
    argv = sh("trap 'exit 99' TERM; echo up; while :; do sleep 1; done")
    _, found = end_by_timeout(lambda timeout: supervise(argv, timeout=timeout, skip_exit_code=99))
    assert found["outcome"] == "timed_out"


def test_the_log_contains_stdout_and_stderr_in_order(supervise: Supervise) -> None:
    one = supervise(sh("echo one; echo two >&2; printf 'three\\0\\377'"))
    one.say(b"GO\n")
    one.end()
    assert (one.directory / "log").read_bytes() == b"one\ntwo\nthree\0\xff"


@pytest.mark.parametrize(
    ("script", "number"),
    [("trap '' TERM; echo up; while :; do sleep 1; done", 9), ("echo up; exec sleep 600", 15)],
)
def test_a_timed_out_flow_gets_sigterm_and_then_sigkill(supervise: Supervise, script: str, number: int) -> None:
    one, found = end_by_timeout(lambda timeout: supervise(sh(script), timeout=timeout))
    assert found == {"outcome": "timed_out", "exit_code": None, "signal": number}
    assert one.log() == "up\n"


def test_a_flow_that_ends_during_the_grace_period_has_timed_out(supervise: Supervise) -> None:
    argv = sh("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    one, found = end_by_timeout(lambda timeout: supervise(argv, timeout=timeout))
    assert found == {"outcome": "timed_out", "exit_code": 0, "signal": None}
    assert one.log().splitlines()[0] == "up"
    assert one.log().endswith("bye\n")


def test_a_supervisor_cancels_its_flow_on_a_stop_request(supervise: Supervise) -> None:
    one = supervise(["sleep", "600"])
    one.say(b"GO\n")
    wait_until((one.directory / "started").exists)
    one.signal(signal.SIGTERM)
    assert one.end() == {"outcome": "cancelled", "exit_code": None, "signal": 15}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_supervisor_survives_a_closed_terminal(supervise: Supervise, number: int) -> None:
    one = supervise(sh("while [ ! -e go ]; do sleep 0.05; done"))
    one.say(b"GO\n")
    wait_until((one.directory / "started").exists)
    one.signal(number)
    (one.directory / "go").touch()
    assert one.end()["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("no-such-program", "could not be started: No such file or directory: no-such-program"),
        ("/no/such/program", "could not be started: No such file or directory: /no/such/program"),
        ("/usr", "could not be started: Permission denied: /usr"),
    ],
)
def test_a_missing_program_fails_the_run(supervise: Supervise, program: str, words: str) -> None:
    one = supervise([program])
    one.say(b"GO\n")
    assert one.end() == {"outcome": "failed", "reason": words}


def test_a_missing_working_directory_fails_the_run(tmp_path: Path, supervise: Supervise) -> None:
    one = supervise(["true"], cwd=tmp_path / "gone", working_directory="reports/gone")
    one.say(b"GO\n")
    words = "could not be started: No such file or directory: the working directory reports/gone"
    assert one.end()["reason"] == words
    other = supervise(["true"], cwd=tmp_path / "gone", working_directory="")
    other.say(b"GO\n")
    assert other.end()["reason"] == "could not be started: No such file or directory: the directory of its code"


@pytest.mark.parametrize("word", [b"", b"G", b"NO\n", b"go\n"])
def test_nothing_runs_without_go(tmp_path: Path, supervise: Supervise, word: bytes) -> None:
    one = supervise(["touch", str(tmp_path / "canary")])
    one.say(word)
    one.wait()
    assert not (tmp_path / "canary").exists()
    assert not (one.directory / "started").exists()
    assert not (one.directory / "exit").exists()


def test_the_start_is_on_disk_before_the_flow_runs_and_the_lock_is_held(supervise: Supervise) -> None:
    one = supervise(sh("cat started; cat lock; while [ ! -e go ]; do sleep 0.05; done"))
    assert not (one.directory / "started").exists()
    one.say(b"GO\n")
    wait_until(lambda: (one.directory / "log").exists() and "}" in one.log())
    with (one.directory / "lock").open("rb") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    (one.directory / "go").touch()
    one.end()
    started, _, pid = one.log().partition("}")
    assert json.loads(started + "}")["nonce"] == NONCE
    assert int(pid.split()[0]) == one.pid
    with (one.directory / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_second_supervisor_of_the_same_run_ends_at_once(supervise: Supervise) -> None:
    one = supervise(["true"])
    second = Supervised(one.directory, one.server)
    assert not second.start()
    second.wait()
    second.close()
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded"


def test_processes_left_in_the_group_of_a_flow_are_killed(supervise: Supervise) -> None:
    one = supervise(sh("trap '' TERM; sleep 600 & echo $!; exit 0"))
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded"
    wait_until(lambda: is_gone(int(one.log())))


def test_only_the_private_directory_is_removed(tmp_path: Path, supervise: Supervise) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    script = f'cd "$TMPDIR"; mkdir -p a/b; touch a/b/c; ln -s {tmp_path}/precious link; ln -s nowhere dangling'
    one = supervise(sh(script + "; pwd"))
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded"
    assert not Path(one.log().strip()).exists()
    assert (tmp_path / "precious" / "file").exists()


def test_a_flow_gets_the_declared_environment_and_descriptors_only(supervise: Supervise) -> None:
    script = "import os; print(sorted(os.environ)); print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    one = supervise([sys.executable, "-I", "-S", "-c", script], env={"X": "1", "LC_ALL": "C.UTF-8"})
    one.say(b"GO\n")
    one.end()
    assert one.log().splitlines() == ["['LC_ALL', 'PATH', 'TMPDIR', 'X']", "[0, 1, 2, 3, 4]"]


def test_the_files_of_a_supervisor_are_private(supervise: Supervise) -> None:
    before = os.umask(0)
    try:
        one = supervise(sh("umask"))
    finally:
        os.umask(before)
    one.say(b"GO\n")
    one.end()
    modes = {name: (one.directory / name).stat().st_mode & 0o777 for name in ("lock", "started", "exit", "log")}
    assert set(modes.values()) == {0o600}
    assert one.log() == "0077\n"


REPORTS = [
    (b'{"result": {"a": [1, null]}}\n', {"result": {"a": [1, None]}}),
    (b'{"error": "ValueError: no"}\n', {"error": "ValueError: no"}),
    (b'{"result": 1}\n{"result": 2}\n', {"result": 2}),
    (b'garbage\n[1]\n{"outcome": "succeeded"}\n{"exit_code": 5, "result": 1}\n\xff\n', {}),
    (b'{"result": "unfinished"', {}),
    (b'{"result": ' + b"[" * 40_000 + b"]" * 10 + b"\n", {}),
    (b'{"result": ' + b"[" * 900 + b"]" * 900 + b"}\n", {}),
    (b'{"result": "ok"}\n' + b"x" * 2_000_000, {"result": "ok"}),
]


@pytest.mark.parametrize(("said", "expected"), REPORTS, ids=range(len(REPORTS)))
def test_valid_reports_of_a_flow_are_accepted_and_invalid_ones_ignored(
    tmp_path: Path, supervise: Supervise, said: bytes, expected: dict[str, object]
) -> None:
    (tmp_path / "said").write_bytes(said)
    one = supervise(sh(f"cat {tmp_path}/said >&4 2>/dev/null; exit 1"))
    one.say(b"GO\n")
    assert one.end() == {"outcome": "failed", "exit_code": 1, "signal": None, **expected}
