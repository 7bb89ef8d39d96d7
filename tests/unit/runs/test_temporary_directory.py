"""A run's private temporary directory has a short path and is always removed; no other directory is."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from controller.manifests.build import build_deployment
from controller.model.deployments import Deployment
from controller.model.runs import RunState
from controller.runs.executors.local.supervisor import temporary_directory
from controller.runs.executors.local.users import find_user
from controller.runs.flow_environment import declared_environment, usable_bases
from tests.conftest import wait_until
from tests.unit.runs.conftest import Supervise, World, one_start, reap
from tests.unit.runs.test_users import needs_root

pytestmark = pytest.mark.integration

SOCKETS = """
import multiprocessing, os, socket, tempfile
def f():
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        context = multiprocessing.get_context("forkserver")
        queue = context.Queue()
        process = context.Process(target=queue.put, args=(2,))
        process.start()
        got = queue.get()
        process.join()
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(os.path.join(tempfile.gettempdir(), "own.sock"))
        return [shared["a"], got, tempfile.gettempdir()]
"""


def lock_in(directory: Path) -> int:
    """Create the lock of an attempt, as a supervisor does."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
    temporary_directory.write_holder(lock)
    return lock


@one_start
def test_sockets_of_a_flow_work_with_a_long_state_directory(world: World) -> None:
    deep = world.state / "runs" / ("d" * 120)
    deep.mkdir()
    world.state = deep
    (deep / "runs").mkdir()
    world.write("flows/mp.py", SOCKETS)
    world.declare(a="name: a\nflow: flows/mp.py:f\n")
    world.start()
    run = world.run("a")
    assert run.state is RunState.SUCCEEDED, world.log(run)
    assert isinstance(run.result, list)
    assert run.result[:2] == [1, 2]
    assert not Path(run.result[2]).exists()


def test_the_address_of_a_socket_fits_below_the_longest_base(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        base = short + "/" + "x" * (temporary_directory.MAX_BASE_BYTES - len(short) - 1)
        for name in (base, f"{base}x"):
            Path(name).mkdir()
        made = temporary_directory.make([f"{base}x", base], str(tmp_path), lock_in(tmp_path))
        assert made.path.startswith(f"{base}/")
    assert len(made.path) + len("/pymp-01234567/listener-01234567") == 107


@one_start
@pytest.mark.parametrize("name", temporary_directory.VARIABLES)
def test_a_declared_temporary_directory_is_used_and_not_removed(world: World, tmp_path: Path, name: str) -> None:
    own = tmp_path / "own"
    own.mkdir()
    script = 'python -c "import tempfile; print(tempfile.mkstemp()[1])"; env | grep -E "^(TMPDIR|TEMP|TMP)="'
    world.declare(a=f"name: a\ncommand: [sh, -c, {json.dumps(script)}]\nenv: {{{name}: '{own}'}}\n")
    world.start()
    path, *variables = world.log(world.run("a")).splitlines()
    assert Path(path).parent == own
    assert Path(path).exists()
    assert variables == [f"{name}={own}"]


def test_an_unusable_base_directory_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    own = tmp_path / "attempt"
    own.mkdir()
    lock = lock_in(own)
    made = temporary_directory.make([f"{tmp_path}/none", f"{tmp_path}/file"], str(own), lock)
    assert made.path == f"{own}/tmp"
    assert temporary_directory.find(str(own)) == made
    temporary_directory.remove(made, lock)
    assert os.listdir(own) == ["lock"]  # noqa: PTH208
    assert temporary_directory.find(str(own)) is None


def test_the_temporary_directory_is_private_and_recorded(tmp_path: Path) -> None:
    made = temporary_directory.make([str(tmp_path)], str(tmp_path), lock_in(tmp_path))
    assert os.stat(made.path).st_mode & 0o777 == 0o700  # noqa: PTH116
    assert temporary_directory.find(str(tmp_path)) == made
    assert (tmp_path / "lock").read_text().split()[0] == str(os.getpid())


@pytest.mark.parametrize("inode", [1, 12, 123, 1234, 1 << 63])
def test_a_record_replaces_one_without_an_inode(tmp_path: Path, inode: int) -> None:
    lock = lock_in(tmp_path)
    for recorded in (None, inode):
        each = temporary_directory.Temporary("/tmp/ctl-0123456789ab", recorded, 0)
        temporary_directory._record(each, lock)
        assert temporary_directory.find(str(tmp_path)) == each


@one_start
def test_deep_and_unreadable_contents_are_removed(tmp_path: Path, supervise: Supervise) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    script = (
        "import os\n"
        "top = os.environ['TMPDIR']\n"
        "os.chdir(top)\n"
        f"os.symlink('{tmp_path}/precious', 'link')\n"
        "for i in range(1500):\n"
        "    os.mkdir('d' * 20); os.symlink('..', 'up'); open('f', 'w').close(); os.chdir('d' * 20)\n"
        "os.chdir(top); os.mkdir('shut'); os.mkdir('shut/in'); os.chmod('shut/in', 0); os.chmod('shut', 0o500)\n"
        "os.chmod(top, 0)\n"
        "print(top)\n"
    )
    one = supervise([sys.executable, "-c", script])
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded", one.log()
    assert not os.path.lexists(one.log().strip())
    assert temporary_directory.find(str(one.directory)) is None
    assert (tmp_path / "precious" / "file").exists()


MOUNTING = """
import os, subprocess, sys
from controller.runs.executors.local.supervisor import temporary_directory as temporary
own, precious = sys.argv[1:]
lock = os.open(f"{own}/lock", os.O_RDWR | os.O_CREAT)
temporary.write_holder(lock)
made = temporary.make([own], own, lock)
for name in ("here", "deep/down"):
    os.makedirs(f"{made.path}/{name}")
    subprocess.run(["mount", "--bind", precious, f"{made.path}/{name}"], check=True)
temporary.remove(made, lock)
print(made.path)
"""


def test_files_of_mounts_in_the_temporary_directory_are_not_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "in").mkdir(parents=True)
    for file in ("file", "in/file"):
        (precious / file).touch()
    (precious / "in").chmod(0o750)
    (tmp_path / "own").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", MOUNTING]
    done = subprocess.run([*command, f"{tmp_path}/own", precious], capture_output=True, text=True, check=False)
    assert sorted(str(path.relative_to(precious)) for path in precious.rglob("*")) == ["file", "in", "in/file"]
    assert (precious / "in").stat().st_mode & 0o777 == 0o750
    if done.returncode == 0:  # the system allows it such mounts, which ended with it
        left = temporary_directory.find(f"{tmp_path}/own")
        assert left is not None
        assert left.path == done.stdout.strip()
        temporary_directory.remove_left_behind(f"{tmp_path}/own")
        assert not Path(left.path).exists()
        assert temporary_directory.find(f"{tmp_path}/own") is None


def test_the_directory_is_removed_after_supervisor_and_controller_were_killed(world: World) -> None:
    world.declare(a="name: a\ncommand: [sh, -c, 'touch $TMPDIR/x; echo $TMPDIR; sleep 600']\n")
    world.start()
    run = world.trigger("a")
    wait_until(lambda: world.log(run).endswith("\n"))
    pid = world.supervisor_pid(run)
    world.stop()
    os.kill(pid, signal.SIGKILL)
    reap(pid)
    path = Path(world.log(run).strip())
    assert (path / "x").exists()
    world.start()
    assert world.wait(run).state is RunState.CRASHED
    assert not path.exists()


@one_start
@pytest.mark.parametrize("point", ["locked", "ready", "go", "started", "forked", "ended", "exited"])
def test_nothing_is_left_of_a_supervisor_that_dies_at_any_point(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    monkeypatch.setenv("CONTROLLER_CRASHPOINT", f"supervisor:{point}")
    world.declare(a="name: a\ncommand: [sh, -c, 'touch $TMPDIR/x']\n")
    world.start(temporary_bases=[str(base)])
    world.run("a")
    assert list(base.iterdir()) == []


def test_a_directory_that_replaced_it_is_not_removed(tmp_path: Path) -> None:
    lock = lock_in(tmp_path)
    made = temporary_directory.make([str(tmp_path)], str(tmp_path), lock)
    os.rename(made.path, tmp_path / "moved")  # noqa: PTH104
    place = Path(made.path)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    place.symlink_to(tmp_path / "precious")
    temporary_directory.remove(made, lock)
    assert place.is_symlink()
    place.unlink()
    (tmp_path / "precious").rename(place)
    temporary_directory.remove(made, lock)
    assert (place / "file").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"path": 1, "inode": 1, "uid": 0}', "[" * 100_000])
def test_an_unknown_record_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid():<16}{content}")
    assert temporary_directory.find(str(tmp_path)) is None


@pytest.mark.parametrize("path", ["/etc", "ctl-0123456789ab", "/tmp/../ctl-0123456789abc", "/elsewhere/tmp"])
def test_a_record_with_another_directory_name_is_ignored(tmp_path: Path, path: str) -> None:
    said = {"path": path, "inode": os.stat("/etc").st_ino, "uid": os.geteuid()}  # noqa: PTH116
    (tmp_path / "lock").write_text(f"{os.getpid():<16}{json.dumps(said)}")
    assert temporary_directory.find(str(tmp_path)) is None


def test_a_directory_with_an_incomplete_record_is_removed_only_if_empty(tmp_path: Path) -> None:
    path = tmp_path / "ctl-0123456789ab"
    (path / "in").mkdir(parents=True)
    lock = lock_in(tmp_path)
    begun = temporary_directory.Temporary(str(path), None, os.geteuid())
    temporary_directory.remove(begun, lock)
    assert (path / "in").exists()
    (path / "in").rmdir()
    temporary_directory.remove(begun, lock)
    assert not path.exists()


@needs_root
def test_for_another_user_the_base_directory_is_accessible_to_that_user(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    assert usable_bases([f"{tmp_path}/closed", "/tmp", "/no/such"], find_user("nobody")) == ["/tmp"]
    assert usable_bases([f"{tmp_path}/closed"], None) == [f"{tmp_path}/closed"]


def declaring(name: str) -> Deployment:
    return build_deployment({"name": "a", "command": ["true"], "env": {name: "other"}}, "a.yaml", 1)


BASE = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "HOME": "/h", "TZ": "UTC", "PYTHONUNBUFFERED": "1"}


@pytest.mark.parametrize("name", ["HOME", "TZ", "PYTHONUNBUFFERED", "LC_ALL", "USER"])
def test_declared_variables_are_set(name: str) -> None:
    found = declared_environment(BASE, declaring(name))
    assert found == {**BASE, name: "other"}


@pytest.mark.parametrize("name", ["LANG", "LC_TIME", "LANGUAGE"])
def test_a_declared_locale_overrides_that_of_the_controller(name: str) -> None:
    found = declared_environment(BASE, declaring(name))
    expected = {key: value for key, value in BASE.items() if key != "LC_ALL"}
    assert found == {**expected, name: "other"}


@one_start
def test_a_declared_directory_for_bytecode_is_used(world: World, tmp_path: Path) -> None:
    world.write("flows/a.py", "import sys\ndef f():\n    return sys.pycache_prefix\n")
    world.declare(a=f"name: a\nflow: flows/a.py:f\nenv: {{PYTHONPYCACHEPREFIX: '{tmp_path}/here'}}\n")
    world.start()
    assert world.run("a").result == f"{tmp_path}/here"
