"""Where the state of a local repository is when nobody says where: every command has to find the same place."""

import os
import tempfile
from pathlib import Path

import pytest

from controller.settings import default_state_directory, locate
from tests.conftest import GitRepository


def test_the_state_of_a_repository_is_in_its_git_directory(repository: GitRepository) -> None:
    place = repository.path / ".git" / "controller"
    assert default_state_directory(repository.path) == place
    assert locate(str(repository.path), "", None, None).state_dir == place


def test_a_linked_worktree_has_its_own_state_directory(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"a": ""})
    repository.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    found = default_state_directory(tmp_path / "linked")
    assert found == repository.path / ".git" / "worktrees" / "linked" / "controller"
    (tmp_path / "linked" / ".git").write_text("gitdir: ../repo/.git/worktrees/linked\n", encoding="utf-8")
    assert default_state_directory(tmp_path / "linked") == found


def test_the_state_of_a_bare_repository_is_beside_its_objects(repository: GitRepository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    assert default_state_directory(tmp_path / "bare.git") == tmp_path / "bare.git" / "controller"


@pytest.mark.parametrize("content", ["", "nonsense", "gitdir: nowhere", "gitdir:"])
def test_with_a_dangling_git_file_the_state_is_beside_the_files(tmp_path: Path, content: str) -> None:
    (tmp_path / ".git").write_text(content, encoding="utf-8")
    assert default_state_directory(tmp_path) == tmp_path / ".controller"


def test_without_git_the_state_is_beside_the_files(tmp_path: Path) -> None:
    assert default_state_directory(tmp_path) == tmp_path / ".controller"


@pytest.mark.parametrize("name", ["state.db", "controller.lock"])
def test_the_old_location_is_used_while_only_it_has_state(repository: GitRepository, name: str) -> None:
    old, new = repository.path / ".controller", repository.path / ".git" / "controller"
    old.mkdir()
    (old / ".gitignore").touch()
    assert default_state_directory(repository.path) == new
    (old / name).touch()
    assert default_state_directory(repository.path) == old
    new.mkdir()
    assert default_state_directory(repository.path) == old
    (new / "state.db").touch()
    assert default_state_directory(repository.path) == new


def test_with_a_read_only_git_directory_the_state_is_beside_the_files() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / ".git").mkdir(mode=0o555)
        root.chmod(0o777)
        pid = os.fork()
        if pid == 0:
            if os.geteuid() == 0:
                os.setuid(65534)  # root may write everywhere
            os._exit(0 if default_state_directory(root) == root / ".controller" else 1)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_fifo_in_place_of_the_git_directory_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    assert default_state_directory(tmp_path) == tmp_path / ".controller"
