"""The program git: found, asked once, and ended with all that it started if it does not answer."""

from pathlib import Path

import pytest

from controller.errors import GitUnavailableError
from controller.sources.git import find_git, program


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git that writes a line for each time that it is started."""
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\necho . >>{tmp_path}/asked\necho git version 2.40.1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_a_git_is_asked_for_its_version_once(asked: Path) -> None:
    assert find_git() == f"git version 2.40.1 at {asked.parent}/git"
    assert find_git() == find_git()
    assert asked.read_text().count(".") == 1


def test_a_git_that_was_replaced_is_asked_again(asked: Path) -> None:
    find_git()
    fake = asked.parent / "git"
    fake.write_text("#!/bin/sh\necho git version 2.9.0\n", encoding="utf-8")
    with pytest.raises(GitUnavailableError, match=r"2\.31 or newer is required; .* is git version 2\.9\.0"):
        find_git()


def test_a_git_that_does_not_answer_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nsleep 600 & wait\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(program, "_VERSION_SECONDS", 0.2)
    with pytest.raises(GitUnavailableError, match="did not finish within"):
        find_git()
