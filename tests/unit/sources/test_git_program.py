"""Git is found on PATH, its version is cached, and a git that hangs is killed with its children."""

from pathlib import Path

import pytest

from controller.errors import GitUnavailableError
from controller.sources.git import find_git, program


@pytest.fixture
def version_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake git that writes a line for each start; the fixture is the file with these lines."""
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\necho . >>{tmp_path}/asked\necho git version 2.40.1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "asked"


def test_the_version_of_git_is_cached(version_log: Path) -> None:
    assert find_git() == f"git version 2.40.1 at {version_log.parent}/git"
    assert find_git() == find_git()
    assert version_log.read_text().count(".") == 1


def test_the_version_is_read_again_after_git_was_replaced(version_log: Path) -> None:
    find_git()
    fake = version_log.parent / "git"
    fake.write_text("#!/bin/sh\necho git version 2.9.0\n", encoding="utf-8")
    with pytest.raises(GitUnavailableError, match=r"2\.31 or newer is required; .* is git version 2\.9\.0"):
        find_git()


def test_a_hanging_git_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nsleep 600 & wait\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(program, "_VERSION_SECONDS", 0.2)
    with pytest.raises(GitUnavailableError, match="did not finish within"):
        find_git()
