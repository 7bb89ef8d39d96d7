"""Flows as another user: which user, and what it can and cannot access. Most tests need root."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.errors import UsageError
from controller.model.runs import RunState
from controller.runs.executors.local.users import FlowUser, check_access, find_user, grant_traversal
from tests.unit.runs.conftest import World

NOBODY = "nobody"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can run flows as another user")


@pytest.fixture
def user() -> FlowUser:
    return find_user(NOBODY)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that another user can get to: those of pytest are closed, and shared by tests that run at once."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o711)
    before = os.umask(0o022)  # a controller that another test has started in this process may have closed everything
    yield made
    os.umask(before)
    shutil.rmtree(made)


@needs_root
@pytest.mark.integration
def test_a_flow_runs_as_the_configured_user_with_its_home_and_private_directory(world: World, user: FlowUser) -> None:
    script = (
        'id -un; id -u; echo "$HOME $USER $LOGNAME"; touch "$TMPDIR/x"; echo said > /dev/stderr; cat ../state/secret'
    )
    world.state.joinpath("secret").write_text("closed")
    world.state.joinpath("secret").chmod(0o600)
    world.declare(a=f"name: a\ncommand: [sh, -c, '{script}']\n")
    grant_traversal(user, world.state, world.runs_directory)
    world.start(user=user, base=user.environment)
    run = world.run("a")
    lines = world.log(run).splitlines()
    assert lines[:4] == [NOBODY, str(user.uid), f"{user.home} {NOBODY} {NOBODY}", "said"]
    assert "Permission denied" in lines[4]
    assert run.state is RunState.FAILED
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (world.runs_directory / run.id).rglob("*")}
    assert {mode for name, mode in modes.items() if not name.startswith("1-")} == {"0o600"}
    assert {mode for name, mode in modes.items() if name.startswith("1-")} == {"0o710"}


@needs_root
@pytest.mark.integration
def test_a_flow_of_another_user_ends_with_its_supervisor_and_cannot_signal_it(world: World, user: FlowUser) -> None:
    world.declare(a="name: a\ncommand: [sh, -c, 'kill -9 $PPID; echo $?']\n")
    grant_traversal(user, world.state, world.runs_directory)
    world.start(user=user)
    run = world.run("a")
    assert run.state is RunState.SUCCEEDED
    assert world.log(run).splitlines()[-1] == "1"


@needs_root
def test_an_inaccessible_parent_directory_is_named(user: FlowUser, tmp_path: Path) -> None:
    closed = tmp_path / "a"
    (closed / "b").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(UsageError, match=f"nobody can't traverse {closed} to reach {closed}/b/c"):
        check_access(user, closed / "b" / "c")
    grant_traversal(user, closed)
    check_access(user, closed / "b" / "c")
    found = closed.stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o710, user.gid)


@needs_root
def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(UsageError, match="--flow-user no-such-user: unknown user"):
        find_user("no-such-user")


@pytest.mark.integration
@needs_root
def test_flow_user_without_root_is_an_error() -> None:
    entry = pwd.getpwnam(NOBODY)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setuid(entry.pw_uid)
        try:
            find_user("root")
        except UsageError as error:
            os.write(write, error.message.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    assert os.read(read, 1000) == b"--flow-user root: only root can run flows as another user."
    os.close(read)
